/* Loops over time, batch and threads for one dtype, compiled for the baseline processor: they hand pointers to kernels
 * a few times per step. Included by loops_f32.c and loops_f64.c. */
#include <string.h>

#include "../parallel.h"
#include "../plan.h"
#include "loops.h"

#include "lengths_body.h"
#include "common_body.h"
#include "masks_body.h"
#include "states_body.h"
#include "pack_body.h"
#include "forward_body.h"
#include "backward_body.h"
#include "linear_body.h"
#include "optimizer_body.h"
