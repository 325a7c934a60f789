/* Runs a network from a .gsm file on numbers from standard input, and prints what it gives.
 *
 *   folder=$(python -c 'import gossamer.runtime as r; print(r.include_folder().parent)')
 *   cc classify.c -I$folder/include $folder/lib/libgossamer.so -Wl,-rpath,$folder/lib -o classify
 *   ./classify net.gsm < numbers.txt
 *
 * Numbers are read until there are none left; axes that differ from call to call are of size 1.
 */
#include <gossamer.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, gossamer_message());
  return 1;
}

static size_t count_of(const gossamer_shape* shape) {
  size_t count = 1;
  for (int axis = 0; axis < shape->rank; ++axis) count *= (size_t)shape->size[axis];
  return count;
}

int main(int count, char** words) {
  if (count != 2) {
    fprintf(stderr, "usage: %s net.gsm < numbers.txt\n", words[0]);
    return 2;
  }
  gossamer_network* network = NULL;
  if (gossamer_open(words[1], 1, &network) != GOSSAMER_OK) return failed("open");
  gossamer_port input;
  if (gossamer_input_count(network) != 1 || gossamer_output_count(network) != 1) {
    fprintf(stderr, "%s has more than one input or output\n", words[1]);
    return 1;
  }
  if (gossamer_input(network, 0, &input) != GOSSAMER_OK) return failed("input");
  if (input.number != GOSSAMER_FLOAT32) {
    fprintf(stderr, "%s takes no floats\n", words[1]);
    return 1;
  }
  gossamer_shape from = input.shape, to;
  for (int axis = 0; axis < from.rank; ++axis)
    if (from.size[axis] < 0) from.size[axis] = 1;
  gossamer_context* context = NULL;
  if (gossamer_prepare(network, &from, 1, &context) != GOSSAMER_OK) return failed("prepare");
  if (gossamer_output_shape(context, 0, &to) != GOSSAMER_OK) return failed("output");
  float* x = malloc(sizeof(float) * count_of(&from));
  float* out = malloc(sizeof(float) * count_of(&to));
  if (x == NULL || out == NULL) return 1;
  for (;;) {
    size_t read = 0;
    while (read < count_of(&from) && scanf("%f", &x[read]) == 1) ++read;
    if (read < count_of(&from)) break;
    const void* inputs[] = {x};
    void* outputs[] = {out};
    if (gossamer_run(context, inputs, 1, outputs, 1) != GOSSAMER_OK) return failed("run");
    for (size_t i = 0; i < count_of(&to); ++i) printf(i + 1 < count_of(&to) ? "%.9g " : "%.9g\n", out[i]);
  }
  free(x);
  free(out);
  gossamer_release(context);
  gossamer_close(network);
  return 0;
}
