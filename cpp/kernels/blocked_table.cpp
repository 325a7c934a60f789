// The table of kernels on blocked images, of one instruction set.
#include "blocked.hpp"

namespace gossamer::GOSSAMER_ISA {

std::size_t blocked_convolution_scratch(const BlockedConvolution&);
bool blocked_convolution(const BlockedConvolution&, float*);
bool planar_convolution(const BlockedConvolution&, float*);
void blocked_depthwise(const BlockedDepthwise&);
void blocked_pool(const BlockedPool&);
void to_blocked(const Relayout&);
void from_blocked(const Relayout&);

extern const BlockedKernels blocked_table;
const BlockedKernels blocked_table{blocked_convolution_scratch, blocked_convolution, planar_convolution, blocked_depthwise,
                                   blocked_pool,                to_blocked,          from_blocked};

}  // namespace gossamer::GOSSAMER_ISA
