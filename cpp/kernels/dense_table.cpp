// The table of the dense kernels of one instruction set.
#include "dense.hpp"

namespace gossamer::GOSSAMER_ISA {

void pointwise(const Pointwise&);
std::size_t matmul_scratch(const MatMul&);
void matmul(const MatMul&, float*);
std::size_t token_attention_scratch(const TokenAttention&);
void token_attention(const TokenAttention&, float*);
void softmax(const Rows&);
void normalize(const Rows&);
void reduce(const Reduce&);
void pool(const Pool&);
void copy(const Copy&);

extern const DenseKernels dense_table;
const DenseKernels dense_table{pointwise, matmul_scratch, matmul,   token_attention_scratch, token_attention,
                               softmax,   normalize,      reduce,   pool,                    copy};

}  // namespace gossamer::GOSSAMER_ISA
