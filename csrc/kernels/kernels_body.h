/* Everything of one instruction set: the bodies for float and for double and the tables. Included by kernels_<isa>.c,
 * which sets ISA and VECTOR_BYTES. Everything is static but the two tables, so that no helper compiled for a newer
 * processor can be linked into an older one's path. */
#include "kernels.h"
#include "vector.h"

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

#include "random_body.h"

#define REAL float
#define REAL_IS_FLOAT 1
#define NAME(word) word##_f32
#define V(word) word##_f32
#define VEC vec_f32
#define BITS bits_f32
#include "kernels_dtype_body.h"

#define REAL double
#define REAL_IS_FLOAT 0
#define NAME(word) word##_f64
#define V(word) word##_f64
#define VEC vec_f64
#define BITS bits_f64
#include "kernels_dtype_body.h"
