// Binds the engine: plans come in as words, tensors as addresses and sizes.
#include "../engine/engine.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind.hpp"

namespace nb = nanobind;
using namespace gossamer::bind;
using namespace gossamer::engine;

namespace {

std::vector<void*> pointers(const std::vector<Address>& addresses) {
  std::vector<void*> found;
  found.reserve(addresses.size());
  for (const Address address : addresses) found.push_back(at<void>(address));
  return found;
}

void make(Engine* self, const std::vector<std::int64_t>& words, const std::vector<Address>& addresses,
          const std::vector<Size>& bytes, int threads) {
  if (addresses.size() != bytes.size()) throw PlanError("there are not as many sizes as constants");
  std::vector<Constant> constants;
  for (std::size_t i = 0; i < addresses.size(); ++i) constants.push_back({at<void>(addresses[i]), bytes[i]});
  new (self) Engine(read_plan(words.data(), words.size()), std::move(constants), threads);
  try {
    self->check_patterns();
  } catch (...) {
    self->~Engine();
    throw;
  }
}

std::vector<Size> output_size(const Engine& engine, const Instance& instance, std::size_t output) {
  const Tensor& tensor = instance.tensor(engine.plan().outputs.at(output));
  return {tensor.size, tensor.size + tensor.rank};
}

std::int64_t run(const Engine& engine, const Instance& instance, const std::vector<Address>& inputs,
                 const std::vector<Address>& outputs) {
  const std::vector<void*> from = pointers(inputs), to = pointers(outputs);
  const nb::gil_scoped_release unlocked;
  return engine.run(instance, from, to);
}

std::vector<std::int64_t> profile(const Engine& engine, const Instance& instance, const std::vector<Address>& inputs,
                                  const std::vector<Address>& outputs) {
  std::vector<std::int64_t> nanoseconds(engine.plan().steps.size());
  const std::vector<void*> from = pointers(inputs), to = pointers(outputs);
  const nb::gil_scoped_release unlocked;
  engine.run(instance, from, to, nanoseconds.data());
  return nanoseconds;
}

}  // namespace

void bind_engine(nb::module_& m) {
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const PlanError& error) {
      PyErr_SetString(PyExc_ValueError, error.what());
    }
  });
  nb::class_<Instance>(m, "Instance").def_prop_ro("arena_bytes", &Instance::arena_bytes);
  nb::class_<Engine>(m, "Engine")
      .def("__init__", &make)
      .def("instance", [](Engine& self, const std::vector<std::vector<Size>>& sizes) {
        return std::const_pointer_cast<Instance>(self.instance(sizes));
      })
      .def("output_size", &output_size)
      .def("run", &run)
      .def("profile", &profile);
}
