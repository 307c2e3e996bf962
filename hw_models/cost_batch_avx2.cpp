#define DUET_BATCH batch_avx2
#include "hw_models/cost_batch_kernel.hpp"
