// The table of the kernels of one instruction set.
#include "kernels.hpp"

#define GOSSAMER_TEXT_(name) #name
#define GOSSAMER_TEXT(name) GOSSAMER_TEXT_(name)

namespace gossamer::GOSSAMER_ISA {

std::size_t aggregate_scratch(const Aggregate&);
bool aggregate(const Aggregate&, float*);
bool edge_dot(const EdgeDot&);

extern const Kernels table;
const Kernels table{GOSSAMER_TEXT(GOSSAMER_ISA), aggregate_scratch, aggregate, edge_dot};

}  // namespace gossamer::GOSSAMER_ISA
