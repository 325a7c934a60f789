/* Runs networks from .gsm files, which gossamer writes. Needs neither Python nor PyTorch.
 *
 *   gossamer_network* network = NULL;
 *   if (gossamer_open("net.gsm", 1, &network) != GOSSAMER_OK) { fprintf(stderr, "%s\n", gossamer_message()); ... }
 *   gossamer_shape shape = {4, {1, 3, 32, 32}};
 *   gossamer_context* context = NULL;
 *   gossamer_prepare(network, &shape, 1, &context);         once for each set of sizes
 *   gossamer_run(context, inputs, 1, outputs, 1);           as often as you like
 *   gossamer_release(context);
 *   gossamer_close(network);
 *
 * Every function may be called from any number of threads at once, also with the same network or context; only close and
 * release have to be the last call with what they end. Networks and contexts may end in any order. No function ends the
 * program or throws. The file must stay as it is, or be replaced by renaming another, while its network is open.
 */
#ifndef GOSSAMER_H
#define GOSSAMER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define GOSSAMER_API __attribute__((visibility("default")))
#else
#define GOSSAMER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GOSSAMER_MOST_AXES 8

typedef enum gossamer_status {
  GOSSAMER_OK = 0,
  GOSSAMER_BAD_ARGUMENT = 1, /* a null pointer, a number that is out of range */
  GOSSAMER_UNREADABLE = 2,   /* the system does not let the file be read */
  GOSSAMER_FOREIGN = 3,      /* the file is no .gsm file */
  GOSSAMER_DAMAGED = 4,      /* the file differs from what was written */
  GOSSAMER_VERSION = 5,      /* the file is of a newer version of the format */
  GOSSAMER_PROCESSOR = 6,    /* the file needs an instruction set that this processor has not */
  GOSSAMER_BAD_SHAPE = 7,    /* the network does not take inputs of these sizes */
  GOSSAMER_BAD_INDEX = 8,    /* a number in an input, such as a token, is out of range */
  GOSSAMER_NO_MEMORY = 9,
  GOSSAMER_INTERNAL = 10
} gossamer_status;

typedef enum gossamer_number {
  GOSSAMER_FLOAT32 = 0,
  GOSSAMER_INT32 = 1,
  GOSSAMER_INT64 = 2,
  GOSSAMER_TRUTH = 3 /* one byte, 0 or 1 */
} gossamer_number;

typedef struct gossamer_network gossamer_network; /* an open file */
typedef struct gossamer_context gossamer_context; /* a network for inputs of given sizes */

typedef struct gossamer_shape {
  int32_t rank;
  int64_t size[GOSSAMER_MOST_AXES];
} gossamer_shape;

/* An input or an output. The texts live as long as the network. */
typedef struct gossamer_port {
  const char* name;
  gossamer_number number;
  gossamer_shape shape;                  /* size -1: differs from call to call */
  const char* label[GOSSAMER_MOST_AXES]; /* what such an axis counts, such as "batch"; "" elsewhere */
} gossamer_port;

/* The version of the library, such as "0.1.0". */
GOSSAMER_API const char* gossamer_version(void);

/* What went wrong in the last call of this thread that did not return GOSSAMER_OK; one line, never null. */
GOSSAMER_API const char* gossamer_message(void);

/* The instruction set in use, such as "avx512". The environment variable GOSSAMER_ISA, read at first use, names another. */
GOSSAMER_API const char* gossamer_instruction_set(void);

/* Opens a file; `threads` are those of each run, 0 for as many as there are cores. Takes milliseconds, whatever the size:
 * weights are mapped, and compared with their checksums when the first context is prepared, or by gossamer_verify. */
GOSSAMER_API gossamer_status gossamer_open(const char* path, int threads, gossamer_network** network);

/* The same from memory, which is copied. */
GOSSAMER_API gossamer_status gossamer_open_memory(const void* data, size_t bytes, int threads, gossamer_network** network);

/* Ends a network; null is allowed. Contexts of it go on. */
GOSSAMER_API void gossamer_close(gossamer_network* network);

GOSSAMER_API gossamer_status gossamer_verify(gossamer_network* network);

GOSSAMER_API size_t gossamer_input_count(const gossamer_network* network);
GOSSAMER_API size_t gossamer_output_count(const gossamer_network* network);
GOSSAMER_API gossamer_status gossamer_input(const gossamer_network* network, size_t place, gossamer_port* port);
GOSSAMER_API gossamer_status gossamer_output(const gossamer_network* network, size_t place, gossamer_port* port);

/* Lays out memory for inputs of these sizes, one shape an input. */
GOSSAMER_API gossamer_status gossamer_prepare(gossamer_network* network, const gossamer_shape* inputs, size_t count,
                                              gossamer_context** context);

/* The shape of an output for these inputs. */
GOSSAMER_API gossamer_status gossamer_output_shape(const gossamer_context* context, size_t place, gossamer_shape* shape);

/* Runs the network. Each input and output is contiguous, row after row, of the shape and the kind of number that belong to
 * it, aligned as its numbers are, and no output overlaps another tensor. Once prepared, a run allocates nothing, unless
 * more runs of a context go on at the same time than ever before. */
GOSSAMER_API gossamer_status gossamer_run(const gossamer_context* context, const void* const* inputs, size_t input_count,
                                          void* const* outputs, size_t output_count);

/* Ends a context; null is allowed. */
GOSSAMER_API void gossamer_release(gossamer_context* context);

#ifdef __cplusplus
}
#endif

#endif
