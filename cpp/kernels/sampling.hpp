// What the samplers take: neighbours drawn hop by hop and numbered, subgraphs, walks.
//
// Shared by all: raw pointers and sizes; no allocation, no exceptions; the caller owns every buffer. `bounds` and
// `indptr` are trusted; a node that is read from the graph and lies outside [0, nodes) makes the function return false
// and leaves its results unspecified. Every random number belongs to a node or a walk (random.hpp), so that results are
// the same for every number of threads. Integers only, or doubles compared with doubles: no instruction set of its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// The edges that may be drawn. Those of node v and type t lie at bounds[v * types + t] up to the next bound.
struct Edges {
  std::int64_t nodes;
  std::int64_t types;
  const std::int64_t* bounds;  // (nodes * types + 1)
  const void* ends;            // (edges) the node that each leads to, 4 or 8 bytes
  int index_bytes;
};

enum class Pick : int {
  uniform,  // every edge is equally likely
  weighted, // in proportion to its weight
  latest,   // the last ones of the range; nothing is random
};

// One hop. A row draws from each type's range up to `fanouts[type]` edges, those of type 0 first; negative means all.
// A frontier entry is a node, or root * nodes + node where `until` is given.
struct Draw {
  Edges edges;
  const double* weights;        // (edges) above 0; with replacement their running sums within a range; or null
  const std::int64_t* times;    // (edges) never falling within a range, or null
  const std::int64_t* frontier; // (rows)
  std::int64_t rows;
  const std::int64_t* until;    // (roots) only edges of a time before it may be drawn; or null
  const std::int64_t* fanouts;  // (types)
  Pick pick;
  bool replace;
  std::uint64_t key;
  int threads;
};

// Fills `indptr` (rows + 1): how many edges the rows before each have drawn in all.
void draw_counts(const Draw& draw, std::int64_t* indptr);

// The numbers that keys were given: a table over all keys where `keys` is null, else a hash table of `size` places, a
// power of two that is at least twice the number of keys.
struct Numbers {
  std::int32_t* values;  // (size) -1 at first
  std::int64_t* keys;    // (size) -1 at first, or null
  std::int64_t size;
};

// Numbers keys in the order in which they first come: those that are known keep their number, new ones get `base`,
// `base` + 1, ... Fills `local` (count) with the numbers, moves the new keys to the front of `keys` in order, and
// returns how many those are. `base` + `count` is below 2^31.
std::int64_t number_keys(std::int64_t* keys, std::int64_t count, std::int64_t base, Numbers numbers,
                         std::int32_t* local);

// Draws and numbers. Fills `positions` (total) with the places of drawn edges, `local` (total) with the numbers of the
// entries they lead to, and the front of `fresh` (total) with the new ones, as the frontier is written. Returns how many
// are new, or -1 where an edge leads outside [0, nodes). `scratch` (total) is needed for weights without replacement.
std::int64_t draw_edges(const Draw& draw, const std::int64_t* indptr, std::int64_t base, Numbers numbers,
                        std::int64_t* positions, std::int32_t* local, std::int64_t* fresh, double* scratch);

// The rows `chosen` of a graph, without the edges that lead out of them. `place` (nodes) holds a chosen node's number,
// -1 for others. First `counts` (rows), then, with their running sums, `local` and `positions` (kept edges).
bool induce_counts(const Edges& edges, const std::int64_t* chosen, std::int64_t rows, const std::int32_t* place,
                   std::int64_t* counts, int threads);
void induce_edges(const Edges& edges, const std::int64_t* chosen, std::int64_t rows, const std::int32_t* place,
                  const std::int64_t* indptr, std::int32_t* local, std::int64_t* positions, int threads);

// `count` walks of at most `steps` steps over edges of one type. Walk w starts at starts[w]; where no edge may be taken
// it ends, and -1 follows.
struct Walk {
  Edges edges;
  const double* weights;       // (edges) running sums of weights within a row, or null: all edges alike
  const std::int64_t* starts;  // (count)
  std::int64_t count;
  std::int64_t steps;
  std::uint64_t key;
  std::int64_t* nodes;         // (count, steps + 1)
  std::int64_t* positions;     // (count, steps) places of the edges taken, or null
  int threads;
};

// Every edge is taken in proportion to its weight.
bool walk_uniform(const Walk& walk);

// The second-order walk of node2vec, in proportion to the weight, times 1/p back to where the walk came from, times 1/q
// to nodes that it does not lead to. Ends ascend within a row.
bool walk_node2vec(const Walk& walk, double p, double q);

// Walks forward in time. Edges of a row ascend by time; a walk's first step is taken from first[w] on, and after edge e
// from later[e] on, each at most the end of its row. Edge e is taken with a probability in proportion to
// exp(scores[e]), which fall (`falling`) or rise within a row and span at most 1; null: all alike.
bool walk_temporal(const Walk& walk, const std::int64_t* first, const std::int64_t* later, const double* scores,
                   bool falling);

// Rows that grow: row v holds counts[v] edges from bounds[v] on, ascending by time.
struct Growing {
  const std::int64_t* counts;
  const double* times;
  double after;  // walks take edges later than this
  int bias;      // > 0 prefers late edges, < 0 early ones, 0 none
};

// Walks forward in time over rows that grow, with the law of walk_temporal; of the bounds only the first of each row counts.
bool walk_growing(const Walk& walk, const Growing& rows);

// Pairs (s, t), s * nodes + t being their number, that are drawn among the free numbers in ascending order: draw i takes
// the free number first[i] + below(bound[i]) of its own stream.
struct FreePairs {
  std::int64_t nodes;
  const std::int64_t* free_below;  // (taken) ascending: of each taken number, how many free ones are below it
  const std::int64_t* guide;       // (parts + 1) how many of these are below part << shift
  int shift;
  std::int64_t count;
  const std::int64_t* first;       // (count), or null: all zero
  const std::int64_t* bound;       // (count) above 0
  std::uint64_t key;
  std::int64_t* pairs;             // (2, count)
  int threads;
};

void draw_free(const FreePairs& pairs);

}  // namespace gossamer
