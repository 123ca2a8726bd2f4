// Writing and reading netlink messages.
//
//   | nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32 | family header |
//   attribute* | attribute: | length u16 (with this header), type u16 | payload | padding to 4 |
//
// The reader believes no length: every loop condition is the bounds check, and what does not fit
// ends the loop with malformed() set.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "netlink/bytes.h"

namespace netlink {

constexpr size_t Align(size_t length) { return (length + 3) & ~size_t{3}; }

constexpr size_t kAttributeHeader = 2 * sizeof(uint16_t);

inline void StoreAttributeHeader(uint8_t* at, uint16_t type, size_t size) {
  Store<uint16_t>(at, static_cast<uint16_t>(kAttributeHeader + size));
  Store<uint16_t>(at + sizeof(uint16_t), type);
}

class MessageWriter {
 public:
  void Begin(uint16_t type, uint16_t flags, uint32_t sequence);
  void End();

  void Append(const void* data, size_t size);  // a family header
  void Attribute(uint16_t type, const void* data, size_t size);
  template <typename T>
  void Attribute(uint16_t type, T value) {
    constexpr size_t kPadding = Align(sizeof value) - sizeof value;
    uint8_t* at = Extend(kAttributeHeader + sizeof value + kPadding);
    StoreAttributeHeader(at, type, sizeof value);
    Store<T>(at + kAttributeHeader, value);
    std::memset(at + kAttributeHeader + sizeof value, 0, kPadding);
  }

  // Returns the handle that EndNest() wants.
  size_t BeginNest(uint16_t type);
  void EndNest(size_t nest);

  // For whoever writes many attributes at once: room for so many bytes, and what was used of it.
  uint8_t* Reserve(size_t size) {
    if (length_ + size > capacity_) Grow(length_ + size);
    return buffer_.get() + length_;
  }
  void Advance(const uint8_t* end) { length_ = static_cast<size_t>(end - buffer_.get()); }

  // Writes a whole message of before once more, with another number; answers where it begins.
  uint8_t* Repeat(Bytes message, uint32_t sequence) {
    message_ = length_;
    uint8_t* at = Extend(message.size);
    std::memcpy(at, message.data, message.size);
    Store<uint32_t>(at + offsetof(nlmsghdr, nlmsg_seq), sequence);
    return at;
  }
  // The message that was begun last.
  Bytes message() const { return {buffer_.get() + message_, length_ - message_}; }
  void Clear() { length_ = 0; }

  // Asks for an acknowledgement of the message written last.
  void AcknowledgeLast();

  Bytes bytes() const { return {buffer_.get(), length_}; }

 private:
  // Room for so many bytes more, a multiple of 4; what is in them is undefined.
  uint8_t* Extend(size_t size) {
    uint8_t* at = Reserve(size);
    length_ += size;
    return at;
  }
  void Grow(size_t least);

  // No vector: that would clear what is written over at once.
  std::unique_ptr<uint8_t[]> buffer_;  // NOLINT(modernize-avoid-c-arrays)
  size_t capacity_ = 0;
  size_t length_ = 0;
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
