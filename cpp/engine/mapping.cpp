#include "mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

namespace gossamer::engine {
namespace {

constexpr std::align_val_t kAlign{64};

[[noreturn]] void refuse(int code) { throw std::system_error(code, std::generic_category()); }

}  // namespace

Mapping::Mapping(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) refuse(errno);
  struct stat status {};
  void* found = nullptr;
  int code = ::fstat(file, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : !S_ISREG(status.st_mode) ? EINVAL : 0;
  if (code == 0 && status.st_size > 0) {
    found = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    if (found == MAP_FAILED) code = errno;
  }
  ::close(file);
  if (code != 0) refuse(code);
  data_ = static_cast<std::byte*>(found);
  bytes_ = static_cast<std::size_t>(status.st_size);
  mapped_ = found != nullptr;
}

Mapping::Mapping(const void* data, std::size_t bytes)
    : data_(static_cast<std::byte*>(::operator new(bytes + 1, kAlign))), bytes_(bytes) {
  if (bytes > 0) std::memcpy(data_, data, bytes);
}

Mapping::~Mapping() {
  if (mapped_)
    ::munmap(data_, bytes_);
  else if (data_ != nullptr)
    ::operator delete(data_, kAlign);
}

}  // namespace gossamer::engine
