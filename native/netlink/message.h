// Writing and reading netlink messages.
//
//   | nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32 | family header |
//   attribute* | attribute: | length u16 (with this header), type u16 | payload | padding to 4 |
//
// The reader believes no length: every loop condition is the bounds check, and what does not fit
// ends the loop with malformed() set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "netlink/bytes.h"

namespace netlink {

constexpr size_t Align(size_t length) { return (length + 3) & ~size_t{3}; }

class MessageWriter {
 public:
  void Begin(uint16_t type, uint16_t flags, uint32_t sequence);
  void End();

  void Append(const void* data, size_t size);  // a family header
  void Attribute(uint16_t type, const void* data, size_t size);
  template <typename T>
  void Attribute(uint16_t type, T value) {
    Attribute(type, &value, sizeof value);
  }

  // Returns the handle that EndNest() wants.
  size_t BeginNest(uint16_t type);
  void EndNest(size_t nest);

  // Asks for an acknowledgement of the message written last.
  void AcknowledgeLast();

  Bytes bytes() const { return {buffer_.data(), buffer_.size()}; }

 private:
  std::vector<uint8_t> buffer_;
  size_t message_ = 0;
};

struct Message {
  uint16_t type = 0;
  uint16_t flags = 0;
  uint32_t sequence = 0;
  Bytes payload;
};

class MessageReader {
 public:
  explicit MessageReader(Bytes datagram) : rest_(datagram) {}
  bool Next(Message* message);
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

struct AttributeView {
  uint16_t type = 0;  // without the NESTED and byte-order bits
  Bytes payload;
};

class AttributeReader {
 public:
  explicit AttributeReader(Bytes attributes) : rest_(attributes) {}
  bool Next(AttributeView* attribute);
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace netlink
