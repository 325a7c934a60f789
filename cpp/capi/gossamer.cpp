// The C functions of gossamer.h over the engine: every exception becomes a status and a message.
#include <gossamer.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <thread>

#include "../engine/file.hpp"

using namespace gossamer;
using namespace gossamer::engine;

struct gossamer_network {
  std::shared_ptr<Network> network;
};

struct gossamer_context {
  std::shared_ptr<Network> network;
  std::shared_ptr<const Instance> instance;
};

namespace {

static_assert(GOSSAMER_MOST_AXES == kMostAxes);

thread_local char message[512] = "";

gossamer_status failed(gossamer_status status, const char* text) noexcept {
  std::size_t at = 0;
  for (; text[at] != '\0' && at + 1 < sizeof message; ++at) message[at] = text[at];
  message[at] = '\0';
  return status;
}

gossamer_status status_of(FileError::Cause cause) {
  switch (cause) {
    case FileError::Cause::unreadable: return GOSSAMER_UNREADABLE;
    case FileError::Cause::foreign: return GOSSAMER_FOREIGN;
    case FileError::Cause::version: return GOSSAMER_VERSION;
    case FileError::Cause::processor: return GOSSAMER_PROCESSOR;
    default: return GOSSAMER_DAMAGED;
  }
}

template <class Call>
gossamer_status guarded(const Call& call) noexcept {
  try {
    return call();
  } catch (const FileError& error) {
    return failed(status_of(error.cause), error.what());
  } catch (const PlanError& error) {
    return failed(GOSSAMER_BAD_SHAPE, error.what());
  } catch (const std::bad_alloc&) {
    return failed(GOSSAMER_NO_MEMORY, "there is not enough memory");
  } catch (const std::exception& error) {
    return failed(GOSSAMER_INTERNAL, error.what());
  } catch (...) {
    return failed(GOSSAMER_INTERNAL, "unknown");
  }
}

// Takes the instruction set that the environment names; once.
void choose_instruction_set() {
  static const bool done = [] {
    if (const char* name = std::getenv("GOSSAMER_ISA"); name != nullptr && *name != '\0') force_level(name);
    return true;
  }();
  (void)done;
}

int threads_of(int threads) {
  return threads > 0 ? threads : static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u));
}

gossamer_status describe(const std::vector<Port>& ports, std::size_t place, gossamer_port* port) {
  if (place >= ports.size()) return failed(GOSSAMER_BAD_ARGUMENT, "there are not as many inputs or outputs");
  const Port& found = ports[place];
  *port = {};
  port->name = found.name.c_str();
  port->number = static_cast<gossamer_number>(found.number);
  port->shape.rank = static_cast<std::int32_t>(found.size.size());
  for (std::size_t axis = 0; axis < GOSSAMER_MOST_AXES; ++axis) {
    port->label[axis] = axis < found.labels.size() ? found.labels[axis].c_str() : "";
    if (axis < found.size.size()) port->shape.size[axis] = found.size[axis];
  }
  return GOSSAMER_OK;
}

}  // namespace

const char* gossamer_version(void) { return GOSSAMER_VERSION_TEXT; }

const char* gossamer_message(void) { return message; }

const char* gossamer_instruction_set(void) {
  choose_instruction_set();
  return name_of(chosen_level());
}

gossamer_status gossamer_open(const char* path, int threads, gossamer_network** network) {
  if (path == nullptr || network == nullptr || threads < 0)
    return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_open is null or negative");
  return guarded([&] {
    choose_instruction_set();
    *network = new gossamer_network{Network::open(path, threads_of(threads))};
    return GOSSAMER_OK;
  });
}

gossamer_status gossamer_open_memory(const void* data, size_t bytes, int threads, gossamer_network** network) {
  if (data == nullptr || network == nullptr || threads < 0)
    return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_open_memory is null or negative");
  return guarded([&] {
    choose_instruction_set();
    *network = new gossamer_network{Network::from_memory(data, bytes, threads_of(threads))};
    return GOSSAMER_OK;
  });
}

void gossamer_close(gossamer_network* network) { delete network; }

gossamer_status gossamer_verify(gossamer_network* network) {
  if (network == nullptr) return failed(GOSSAMER_BAD_ARGUMENT, "the network is null");
  return guarded([&] {
    network->network->verify();
    return GOSSAMER_OK;
  });
}

size_t gossamer_input_count(const gossamer_network* network) {
  return network == nullptr ? 0 : network->network->head().inputs.size();
}

size_t gossamer_output_count(const gossamer_network* network) {
  return network == nullptr ? 0 : network->network->head().outputs.size();
}

gossamer_status gossamer_input(const gossamer_network* network, size_t place, gossamer_port* port) {
  if (network == nullptr || port == nullptr) return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_input is null");
  return describe(network->network->head().inputs, place, port);
}

gossamer_status gossamer_output(const gossamer_network* network, size_t place, gossamer_port* port) {
  if (network == nullptr || port == nullptr) return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_output is null");
  return describe(network->network->head().outputs, place, port);
}

gossamer_status gossamer_prepare(gossamer_network* network, const gossamer_shape* inputs, size_t count,
                                 gossamer_context** context) {
  if (network == nullptr || (inputs == nullptr && count > 0) || context == nullptr)
    return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_prepare is null");
  return guarded([&] {
    std::vector<std::vector<std::int64_t>> sizes;
    for (size_t i = 0; i < count; ++i) {
      if (inputs[i].rank < 0 || inputs[i].rank > GOSSAMER_MOST_AXES) return failed(GOSSAMER_BAD_ARGUMENT, "a rank is none");
      sizes.emplace_back(inputs[i].size, inputs[i].size + inputs[i].rank);
    }
    auto instance = network->network->instance(sizes);
    *context = new gossamer_context{network->network, std::move(instance)};
    return GOSSAMER_OK;
  });
}

gossamer_status gossamer_output_shape(const gossamer_context* context, size_t place, gossamer_shape* shape) {
  if (context == nullptr || shape == nullptr) return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_output_shape is null");
  if (place >= context->network->head().outputs.size()) return failed(GOSSAMER_BAD_ARGUMENT, "there are not as many outputs");
  return guarded([&] {
    const std::vector<std::int64_t> size = context->network->output_size(*context->instance, place);
    *shape = {static_cast<std::int32_t>(size.size()), {}};
    std::copy(size.begin(), size.end(), shape->size);
    return GOSSAMER_OK;
  });
}

gossamer_status gossamer_run(const gossamer_context* context, const void* const* inputs, size_t input_count,
                             void* const* outputs, size_t output_count) {
  if (context == nullptr || (inputs == nullptr && input_count > 0) || (outputs == nullptr && output_count > 0))
    return failed(GOSSAMER_BAD_ARGUMENT, "an argument of gossamer_run is null");
  const Head& head = context->network->head();
  if (input_count != head.inputs.size() || output_count != head.outputs.size())
    return failed(GOSSAMER_BAD_ARGUMENT, "there are not as many inputs or outputs as the network has");
  return guarded([&] {
    if (!context->network->sound(*context->instance, inputs, outputs))
      return failed(GOSSAMER_BAD_ARGUMENT, "an input or output is null or not aligned as its numbers are");
    // Those of this thread are used again, so that a run allocates nothing.
    thread_local std::vector<void*> from, to;
    from.clear();
    to.assign(outputs, outputs + output_count);
    for (size_t i = 0; i < input_count; ++i) from.push_back(const_cast<void*>(inputs[i]));
    if (context->network->run(*context->instance, from, to) >= 0)
      return failed(GOSSAMER_BAD_INDEX, "a number in an input, such as a token or a node, is out of range");
    return GOSSAMER_OK;
  });
}

void gossamer_release(gossamer_context* context) { delete context; }
