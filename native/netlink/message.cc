#include "netlink/message.h"

#include <linux/netlink.h>

#include <algorithm>
#include <utility>

namespace netlink {

namespace {

// Some 30 changes; when that is not enough, there will be a whole send of them.
constexpr size_t kFirstSize = 4096;
constexpr size_t kSecondSize = 32768;

}  // namespace

void MessageWriter::Grow(size_t least) {
  capacity_ = std::max(2 * least, capacity_ == 0 ? kFirstSize : kSecondSize);
  std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity_]);  // NOLINT(modernize-avoid-c-arrays)
  if (length_ > 0) std::memcpy(larger.get(), buffer_.get(), length_);
  buffer_ = std::move(larger);
}

void MessageWriter::Begin(uint16_t type, uint16_t flags, uint32_t sequence) {
  message_ = length_;
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  Store<nlmsghdr>(Extend(sizeof header), header);
}

void MessageWriter::End() {
  Store<uint32_t>(&buffer_[message_ + offsetof(nlmsghdr, nlmsg_len)],
                  static_cast<uint32_t>(length_ - message_));
}

void MessageWriter::Append(const void* data, size_t size) {
  if (size == 0) return;
  uint8_t* at = Extend(Align(size));
  Store<uint32_t>(at + Align(size) - sizeof(uint32_t), 0);  // the padding
  std::memcpy(at, data, size);
}

void MessageWriter::Attribute(uint16_t type, const void* data, size_t size) {
  StoreAttributeHeader(Extend(kAttributeHeader), type, size);
  Append(data, size);
}

size_t MessageWriter::BeginNest(uint16_t type) {
  const size_t nest = length_;
  StoreAttributeHeader(Extend(kAttributeHeader), type | NLA_F_NESTED, 0);
  return nest;
}

void MessageWriter::EndNest(size_t nest) {
  Store<uint16_t>(&buffer_[nest + offsetof(nlattr, nla_len)],
                  static_cast<uint16_t>(length_ - nest));
}

void MessageWriter::AcknowledgeLast() {
  uint8_t* flags = &buffer_[message_ + offsetof(nlmsghdr, nlmsg_flags)];
  Store<uint16_t>(flags, static_cast<uint16_t>(Load<uint16_t>(flags) | NLM_F_ACK));
}

bool MessageReader::Next(Message* message) {
  if (rest_.size == 0 || malformed_) return false;
  const size_t length = rest_.size < sizeof(nlmsghdr)
                            ? 0
                            : Load<uint32_t>(rest_.data + offsetof(nlmsghdr, nlmsg_len));
  if (length < sizeof(nlmsghdr) || length > rest_.size) {
    malformed_ = true;
    return false;
  }
  const auto header = Load<nlmsghdr>(rest_.data);
  message->type = header.nlmsg_type;
  message->flags = header.nlmsg_flags;
  message->sequence = header.nlmsg_seq;
  message->payload = {rest_.data + sizeof(nlmsghdr), length - sizeof(nlmsghdr)};
  rest_ = rest_.From(Align(length));
  return true;
}

bool AttributeReader::Next(AttributeView* attribute) {
  if (rest_.size == 0 || malformed_) return false;
  const size_t length = rest_.size < sizeof(nlattr) ? 0 : Load<uint16_t>(rest_.data);
  if (length < sizeof(nlattr) || length > rest_.size) {
    malformed_ = true;
    return false;
  }
  attribute->type = Load<uint16_t>(rest_.data + offsetof(nlattr, nla_type)) & NLA_TYPE_MASK;
  attribute->payload = {rest_.data + sizeof(nlattr), length - sizeof(nlattr)};
  rest_ = rest_.From(Align(length));
  return true;
}

}  // namespace netlink
