// Binds networks from files: the reader and its checks are those of the C library.
#include "../engine/file.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "../engine/checksum.hpp"
#include "bind.hpp"

namespace nb = nanobind;
using namespace gossamer;
using namespace gossamer::bind;
using namespace gossamer::engine;

namespace {

// (name, kind of number, sizes with -1 for any, labels) of each.
nb::list ports(const std::vector<Port>& of) {
  nb::list found;
  for (const Port& port : of)
    found.append(nb::make_tuple(port.name, static_cast<std::int64_t>(port.number), port.size, port.labels));
  return found;
}

// The memory of contiguous arrays, held for the time of a call.
class Buffers {
 public:
  template <class Arrays>  // a tuple or a list
  Buffers(const Arrays& arrays, int flags) : views_(arrays.size()) {
    addresses_.reserve(views_.size());
    for (const nb::handle array : arrays) {
      if (PyObject_GetBuffer(array.ptr(), &views_[held_], flags) != 0) {
        release();
        throw nb::python_error();
      }
      addresses_.push_back(views_[held_++].buf);
    }
  }
  ~Buffers() { release(); }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  const std::vector<void*>& addresses() const { return addresses_; }
  Size bytes(std::size_t place) const { return views_[place].len; }

 private:
  void release() {
    while (held_ > 0) PyBuffer_Release(&views_[--held_]);
  }

  std::vector<Py_buffer> views_;
  std::vector<void*> addresses_;
  std::size_t held_ = 0;
};

std::int64_t run(const Network& network, const Instance& instance, const nb::tuple& inputs, const nb::list& outputs) {
  const Buffers from(inputs, PyBUF_SIMPLE), to(outputs, PyBUF_WRITABLE);
  const Plan& plan = network.plan();
  const auto check = [&](const std::vector<int>& values, const Buffers& given) {
    bool fits = values.size() == given.addresses().size();
    for (std::size_t i = 0; fits && i < values.size(); ++i)
      fits = given.bytes(i) == instance.tensor(values[i]).count() * plan.values[static_cast<std::size_t>(values[i])].bytes();
    if (!fits) throw PlanError("the memory of a call is not that of its sizes");
  };
  check(plan.inputs, from);
  check(plan.outputs, to);
  const nb::gil_scoped_release unlocked;
  return network.run(instance, from.addresses(), to.addresses());
}

std::shared_ptr<Instance> instance(Network& network, const std::vector<std::vector<Size>>& sizes) {
  const nb::gil_scoped_release unlocked;
  return std::const_pointer_cast<Instance>(network.instance(sizes));
}

}  // namespace

void bind_network(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  nb::exception<FileError>(m, "FileError");
  m.def("checksum", [](Address data, Size bytes) { return checksum(at<const void>(data), static_cast<std::size_t>(bytes)); },
        unlocked);
  m.attr("piece") = kPiece;
  nb::class_<Network>(m, "Network")
      .def_static("open", &Network::open, unlocked)
      .def_static("from_memory",
                  [](const nb::bytes& data, int threads) { return Network::from_memory(data.data(), data.size(), threads); })
      .def("inputs", [](const Network& self) { return ports(self.head().inputs); })
      .def("outputs", [](const Network& self) { return ports(self.head().outputs); })
      .def("level", [](const Network& self) { return std::string(name_of(self.head().level)); })
      .def("independent", [](const Network& self) { return self.head().independent; })
      .def("description", [](const Network& self) { return self.head().description; })
      .def("verify", &Network::verify, unlocked)
      .def("instance", &instance)
      .def("output_size", &Network::output_size)
      .def("run", &run);
}
