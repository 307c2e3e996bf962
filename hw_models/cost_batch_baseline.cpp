#define DUET_BATCH batch_baseline
#include "hw_models/cost_batch_kernel.hpp"
