#define DUET_BATCH batch_avx512
#include "hw_models/cost_batch_kernel.hpp"
