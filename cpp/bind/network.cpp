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

std::vector<void*> pointers(const std::vector<Address>& addresses) {
  std::vector<void*> found;
  found.reserve(addresses.size());
  for (const Address address : addresses) found.push_back(at<void>(address));
  return found;
}

std::int64_t run(const Network& network, const Instance& instance, const std::vector<Address>& inputs,
                 const std::vector<Address>& outputs) {
  const std::vector<void*> from = pointers(inputs), to = pointers(outputs);
  const nb::gil_scoped_release unlocked;
  return network.run(instance, from, to);
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
      .def_static("from_memory", [](const nb::bytes& data, int threads) { return Network::from_memory(data.data(), data.size(), threads); })
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
