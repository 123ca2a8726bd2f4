// A view of bytes that somebody else owns, and unaligned reads from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace netlink {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  Bytes From(size_t offset) const {
    return offset >= size ? Bytes{data, 0} : Bytes{data + offset, size - offset};
  }
};

// Netlink aligns to 4 bytes only, so wider values are copied, never dereferenced.
template <typename T>
T Load(const uint8_t* from) {
  T value{};
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void Store(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace netlink
