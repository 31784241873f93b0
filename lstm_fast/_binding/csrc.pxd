"""csrc/lstm_fast.h restated for Cython, whole and in the same order."""
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"


cdef extern from "format.h" nogil:
    lstm_format lstm_input_format(const lstm_model *, int64_t layer)


cdef extern from "lstm_fast.h" nogil:
    const int64_t LSTM_LARGEST_SIZE
    const int LSTM_MOST_THREADS

    enum lstm_gate:
        LSTM_GATE_I
        LSTM_GATE_F
        LSTM_GATE_G
        LSTM_GATE_O
        LSTM_GATES
    enum lstm_cell:
        LSTM_CELL_LSTM
        LSTM_CELL_RNN_TANH
        LSTM_CELL_RNN_RELU
        LSTM_CELL_RNN_IDENTITY
        LSTM_CELLS
    enum lstm_dtype:
        LSTM_F32
        LSTM_F64
    enum lstm_format:
        LSTM_FORMAT_REAL
        LSTM_FORMAT_FLOAT16
        LSTM_FORMAT_BFLOAT16
        LSTM_FORMAT_INT8
        LSTM_FORMAT_BFLOAT16_AMX
    enum lstm_status:
        LSTM_OK
        LSTM_TOO_LARGE
        LSTM_INTERRUPTED

    enum lstm_activation_kind:
        LSTM_DEFAULT
        LSTM_TANH
        LSTM_SIGMOID
        LSTM_RELU
        LSTM_AFFINE
        LSTM_LEAKY_RELU
        LSTM_THRESHOLDED_RELU
        LSTM_SCALED_TANH
        LSTM_HARD_SIGMOID
        LSTM_ELU
        LSTM_SOFTSIGN
        LSTM_SOFTPLUS
    struct lstm_activation:
        lstm_activation_kind kind
        double alpha, beta

    ctypedef c_bool (*lstm_interrupted_function)(void *context) noexcept nogil

    struct lstm_model:
        lstm_cell cell
        lstm_dtype dtype
        int64_t input_size, hidden_size, num_layers, num_directions
        lstm_format format
        c_bool rounds_weights
        int input_bits
        c_bool initial_state
        c_bool index_input
        int64_t proj_size
        c_bool peepholes, layer_norm, coupled_gates
        double cell_clip, gate_clip
        lstm_activation activation, recurrent_activation, cell_activation
    struct lstm_isa:
        const char *name
        const char *base
        c_bool (*is_supported)() noexcept nogil
        const void *kernels[2]
        const void *formats
        int64_t vector_bytes
    const lstm_isa lstm_isas[]
    const lstm_isa *lstm_best_isa()
    const lstm_isa *lstm_narrower_isa(const lstm_isa *)

    enum lstm_split:
        LSTM_SPLIT_BEST
        LSTM_SPLIT_ROWS
        LSTM_SPLIT_DIRECTIONS
        LSTM_SPLIT_UNITS
        LSTM_SPLIT_LAYERS
    struct lstm_call:
        lstm_model model
        const lstm_isa *isa
        int64_t T, B
        int n_threads
        lstm_split split
        lstm_interrupted_function interrupted
        void *interrupted_context
        const int64_t *lengths
        const int64_t *rows
        const int64_t *packed_rows
        const uint8_t *resets
        c_bool recompute_gates
        double dropout, recurrent_dropout, zoneout_h, zoneout_c
        uint64_t seed
    struct lstm_sequence:
        void *data
        int64_t step_stride, row_stride
    struct lstm_weights:
        const void *weight_ih
        const void *weight_hh
        const void *bias_ih
        const void *bias_hh
        const void *weight_hr
        const void *weight_peephole
        const void *norm_ih_weight
        const void *norm_hh_weight
        const void *norm_c_weight
        const void *norm_c_bias
        const void *h_0
        const void *c_0
        const float *scale_ih
        const float *scale_hh
    struct lstm_weight_gradients:
        void *d_weight_ih
        void *d_weight_hh
        void *d_bias_ih
        void *d_bias_hh
        void *d_weight_hr
        void *d_weight_peephole
        void *d_norm_ih_weight
        void *d_norm_hh_weight
        void *d_norm_c_weight
        void *d_norm_c_bias
        void *d_h_0
        void *d_c_0
    struct lstm_forward_args "lstm_forward":
        lstm_call call
        lstm_sequence x, output
        const void *h_0
        const void *c_0
        void *h_n
        void *c_n
        const void *packed
        void *tape
        void *workspace
    struct lstm_backward_args "lstm_backward":
        lstm_call call
        lstm_sequence x
        const void *h_0
        const void *c_0
        lstm_sequence d_output
        const void *d_h_n
        const void *d_c_n
        lstm_sequence d_x
        void *d_h_0
        void *d_c_0
        double *d_h_norms
        double *d_c_norms
        const lstm_weight_gradients *d_weights
        const void *packed
        const void *packed_forward
        const void *tape
        void *workspace

    struct lstm_linear_args "lstm_linear":
        lstm_call call
        int64_t n, n_inputs, n_outputs
        const void *x
        const void *weight
        const void *bias
        void *y
        const void *d_y
        void *d_x
        void *d_weight
        void *d_bias
        void *workspace
    struct lstm_optimizer:
        lstm_dtype dtype
        int64_t n, step
        void *parameters
        const void *gradients
        void *first
        void *second
        double lr, beta_1, beta_2, epsilon, weight_decay, scale
        c_bool nesterov, decoupled

    lstm_status lstm_packed_bytes(const lstm_model *, const lstm_isa *, c_bool backward, int64_t *nbytes)
    void lstm_pack(const lstm_model *, const lstm_isa *, c_bool backward, const lstm_weights *, void *packed)
    lstm_status lstm_tape_bytes(const lstm_call *, int64_t *nbytes)
    lstm_status lstm_forward_bytes(const lstm_call *, c_bool training, int64_t *nbytes)
    lstm_status lstm_forward(const lstm_forward_args *)
    lstm_status lstm_backward_bytes(const lstm_call *, int64_t *nbytes)
    lstm_status lstm_backward(const lstm_backward_args *)
    lstm_status lstm_linear_bytes(const lstm_linear_args *, int64_t *nbytes)
    lstm_status lstm_linear(const lstm_linear_args *)
    void lstm_optimize(const lstm_optimizer *)
    double lstm_square_sum(lstm_dtype, int64_t n, const void *values)
    int64_t lstm_tape_gates(const lstm_call *, int64_t layer, int64_t direction)
    int64_t lstm_tape_c(const lstm_call *, int64_t layer, int64_t direction)
    int64_t lstm_tape_h(const lstm_call *, int64_t layer)
    void lstm_activate(const lstm_isa *, lstm_dtype, lstm_activation, c_bool slope, int64_t n, const void *x, void *y)
    enum lstm_backend:
        LSTM_SERIAL
        LSTM_OPENMP
        LSTM_POOL

    c_bool lstm_has_openmp()
    lstm_backend lstm_get_backend "lstm_backend"()
    c_bool lstm_use_backend(lstm_backend)
    c_bool lstm_threads_were_missing() nogil
    int lstm_max_threads()
    void lstm_watch_forks()

cdef extern from "weight_list.h" nogil:
    enum:
        LSTM_AT_weight_ih, LSTM_AT_weight_hh, LSTM_AT_bias_ih, LSTM_AT_bias_hh, LSTM_AT_weight_hr
        LSTM_AT_weight_peephole, LSTM_AT_norm_ih_weight, LSTM_AT_norm_hh_weight, LSTM_AT_norm_c_weight
        LSTM_AT_norm_c_bias, LSTM_AT_h_0, LSTM_AT_c_0, LSTM_AT_scale_ih, LSTM_AT_scale_hh
    const char *LSTM_PARAMETER_NAMES
    void lstm_move_weights(lstm_weights *, int64_t nbytes)
    void lstm_gradients_after(const lstm_weights *, int64_t nbytes, lstm_weight_gradients *)

cdef extern from "losses.h" nogil:
    void lstm_row_sums(int64_t n, int64_t m, const double *x, double *sums)
    void lstm_cross_entropy(int64_t n, int64_t m, const double *p, const int64_t *y, double *loss, double *gradient)
    void lstm_binary_cross_entropy(int64_t n, const double *p, const double *y, double *loss, double *gradient)

cdef extern from "plan.h" nogil:
    c_bool lstm_has_stages(const lstm_call *)

cdef extern from "split.h" nogil:
    struct lstm_team:
        int n_threads
        lstm_split split

    lstm_team lstm_plan_team(const lstm_call *, c_bool is_backward, c_bool has_stages)
    double lstm_team_ns(const lstm_call *, c_bool is_backward, lstm_team)

cdef extern from "lstm_fleet.h" nogil:
    struct lstm_fleet:
        int64_t n_models
        const lstm_weights *weights
        c_bool packs
        int64_t weights_stride, gradients_stride, x_stride, output_stride, d_output_stride, d_x_stride
        const lstm_isa *lanes
        const uint64_t *seeds

    int64_t lstm_fleet_group(const lstm_fleet *, const lstm_call *)
    lstm_status lstm_fleet_forward_bytes(const lstm_fleet *, const lstm_call *, c_bool training, int64_t *nbytes)
    lstm_status lstm_fleet_forward(const lstm_fleet *, const lstm_forward_args *)
    lstm_status lstm_fleet_backward_bytes(const lstm_fleet *, const lstm_call *, int64_t *nbytes)
    lstm_status lstm_fleet_backward(const lstm_fleet *, const lstm_backward_args *)
    lstm_status lstm_fleet_linear_bytes(const lstm_fleet *, const lstm_linear_args *, int64_t *nbytes)
    lstm_status lstm_fleet_linear(const lstm_fleet *, const lstm_linear_args *)
