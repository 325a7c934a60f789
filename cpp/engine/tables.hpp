// The kernels of the instruction set in use.
#pragma once

#include "../bind/levels.hpp"
#include "../kernels/blocked.hpp"
#include "../kernels/dense.hpp"
#include "../kernels/neighbours.hpp"
#include "../kernels/sparse_layer.hpp"

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const SparseLayerKernels sparse_layer_table;
extern const NeighbourKernels neighbours;
extern const DenseKernels dense_table;
extern const BlockedKernels blocked_table;
}  // namespace avx512
namespace avx2 {
extern const SparseLayerKernels sparse_layer_table;
extern const NeighbourKernels neighbours;
extern const DenseKernels dense_table;
extern const BlockedKernels blocked_table;
}  // namespace avx2
#endif
namespace baseline {
extern const SparseLayerKernels sparse_layer_table;
extern const NeighbourKernels neighbours;
extern const DenseKernels dense_table;
extern const BlockedKernels blocked_table;
}  // namespace baseline

namespace engine {

struct Tables {
  const SparseLayerKernels& layers;
  const NeighbourKernels& neighbours;
  const DenseKernels& dense;
  const BlockedKernels& blocked;
};

inline Tables tables() {
#ifdef GOSSAMER_X86
  if (chosen_level() >= Level::avx512)
    return {avx512::sparse_layer_table, avx512::neighbours, avx512::dense_table, avx512::blocked_table};
  if (chosen_level() == Level::avx2)
    return {avx2::sparse_layer_table, avx2::neighbours, avx2::dense_table, avx2::blocked_table};
#endif
  return {baseline::sparse_layer_table, baseline::neighbours, baseline::dense_table, baseline::blocked_table};
}

}  // namespace engine
}  // namespace gossamer
