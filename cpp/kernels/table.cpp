// The table of the kernels of one instruction set.
#include "kernels.hpp"

#define GOSSAMER_TEXT_(name) #name
#define GOSSAMER_TEXT(name) GOSSAMER_TEXT_(name)

namespace gossamer::GOSSAMER_ISA {

std::size_t aggregate_scratch(const Aggregate&);
bool aggregate(const Aggregate&, float*);
bool edge_dot(const EdgeDot&);
std::size_t csr_scratch(const Product&);
bool csr(const Product&, bool, float*);
std::size_t block_scratch(const Product&);
bool block(const Product&, bool, float*);

extern const Kernels table;
const Kernels table{GOSSAMER_TEXT(GOSSAMER_ISA), aggregate_scratch, aggregate,     edge_dot,
                    csr_scratch,                 csr,               block_scratch, block};

}  // namespace gossamer::GOSSAMER_ISA
