// The table of the sparse layers' kernels of one instruction set.
#include "sparse_layer.hpp"

namespace gossamer::GOSSAMER_ISA {

std::size_t block_input_scratch(const ProductGradient&);
bool block_input(const ProductGradient&, bool, float*);
std::size_t block_values_scratch(const ProductGradient&);
bool block_values(const ProductGradient&, bool, float*);
std::size_t csr_values_scratch(const ProductGradient&);
bool csr_values(const ProductGradient&, bool, float*);

extern const SparseLayerKernels sparse_layer_table;
const SparseLayerKernels sparse_layer_table{block_input_scratch, block_input,        block_values_scratch,
                                            block_values,        csr_values_scratch, csr_values};

}  // namespace gossamer::GOSSAMER_ISA
