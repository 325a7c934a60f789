// The table of the sparse layers' kernels of one instruction set.
#include "sparse_layer.hpp"

namespace gossamer::GOSSAMER_ISA {

std::size_t csr_scratch(const Product&, bool);
bool csr(const Product&, bool, float*);
std::size_t block_scratch(const Product&, bool);
bool block(const Product&, bool, float*);
std::size_t block_input_scratch(const ProductGradient&);
bool block_input(const ProductGradient&, bool, float*);
std::size_t block_values_scratch(const ProductGradient&);
bool block_values(const ProductGradient&, bool, float*);
std::size_t csr_values_scratch(const ProductGradient&);
bool csr_values(const ProductGradient&, bool, float*);
std::size_t conv_scratch(const Convolution&);
bool block_conv(const Convolution&, float*);
bool block_conv_input(const Convolution&, float*);
bool block_conv_values(const Convolution&, float*);
bool csr_conv(const Convolution&, float*);
bool csr_conv_input(const Convolution&, float*);
bool csr_conv_values(const Convolution&, float*);
void widen_all(const void*, float*, std::int64_t, int);
void narrow_all(const float*, void*, std::int64_t, int);

extern const SparseLayerKernels sparse_layer_table;
const SparseLayerKernels sparse_layer_table{
    csr_scratch,        csr,          block_scratch, block,           block_input_scratch, block_input,
    block_values_scratch, block_values, csr_values_scratch, csr_values, conv_scratch,      block_conv,
    block_conv_input,   block_conv_values, csr_conv, csr_conv_input,  csr_conv_values,     widen_all,
    narrow_all};

}  // namespace gossamer::GOSSAMER_ISA
