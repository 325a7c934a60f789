// The bytes of a file, mapped into memory and only read; or a copy of bytes that are there already.
#pragma once

#include <cstddef>
#include <string>

namespace gossamer::engine {

class Mapping {
 public:
  // Throws std::system_error.
  explicit Mapping(const std::string& path);
  Mapping(const void* data, std::size_t bytes);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // At a multiple of 64.
  const std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  bool mapped_ = false;
};

}  // namespace gossamer::engine
