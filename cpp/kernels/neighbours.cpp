// The table of the kernels on neighbours of one instruction set.
#include "neighbours.hpp"

#define GOSSAMER_TEXT_(name) #name
#define GOSSAMER_TEXT(name) GOSSAMER_TEXT_(name)

namespace gossamer::GOSSAMER_ISA {

std::size_t propagate_scratch(const Propagate&);
bool propagate(const Propagate&, float*);
std::size_t maximum_scratch(const Maximum&);
bool maximum(const Maximum&, float*);
std::size_t maximum_back_scratch(const MaximumBack&);
bool maximum_back(const MaximumBack&, float*);
std::size_t attention_scratch(const Attention&);
bool attention(const Attention&, float*);
std::size_t attention_back_scratch(const AttentionBack&);
bool attention_back(const AttentionBack&, float*);
std::size_t leaky_sum_scratch(const LeakySum&);
bool leaky_sum(const LeakySum&, float*);
void head_dots(const HeadDots&);
std::size_t head_dots_back_scratch(const HeadDotsBack&);
void head_dots_back(const HeadDotsBack&, float*);

extern const NeighbourKernels neighbours;
const NeighbourKernels neighbours{GOSSAMER_TEXT(GOSSAMER_ISA),
                                  propagate_scratch,
                                  propagate,
                                  maximum_scratch,
                                  maximum,
                                  maximum_back_scratch,
                                  maximum_back,
                                  attention_scratch,
                                  attention,
                                  attention_back_scratch,
                                  attention_back,
                                  leaky_sum_scratch,
                                  leaky_sum,
                                  head_dots,
                                  head_dots_back_scratch,
                                  head_dots_back};

}  // namespace gossamer::GOSSAMER_ISA
