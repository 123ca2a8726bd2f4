// Plays datagrams of the fuzzer's choice to the core, as the kernel's replies.
//
//   input: { length u16, datagram }*
//
// Each datagram answers one sendto(), but those whose length has its highest bit set travel
// together with the next. The messages get the sequence number that is waited for, unless theirs is
// all ones; otherwise no input would ever get past that check. After the last datagram recvmsg()
// fails, so that nothing waits.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink/message.h"
#include "peer.h"

namespace fuzz {

using netlink::Bytes;
using netlink::Load;

inline uint32_t LastSequence(Bytes sent) {
  uint32_t last = 0;
  netlink::MessageReader messages(sent);
  netlink::Message message;
  while (messages.Next(&message)) last = message.sequence;
  return last;
}

inline void SetSequences(uint32_t sequence, std::vector<uint8_t>* datagram) {
  size_t at = 0;
  while (at + sizeof(nlmsghdr) <= datagram->size()) {
    uint8_t* place = datagram->data() + at;
    uint8_t* number = place + offsetof(nlmsghdr, nlmsg_seq);
    if (Load<uint32_t>(number) != ~uint32_t{0}) netlink::Store(number, sequence);
    at += std::max(sizeof(nlmsghdr), netlink::Align(Load<uint32_t>(place)));
  }
}

class Channel {
 public:
  Channel(const uint8_t* data, size_t size) : rest_{data, size} {
    peer::Script script;
    script.answer = [this](Bytes sent, std::vector<peer::Reply>* replies) {
      Answer(LastSequence(sent), replies);
      return 0;
    };
    peer::Play(script);
  }

 private:
  void Answer(uint32_t sequence, std::vector<peer::Reply>* replies) {
    bool more = true;
    while (more && rest_.size >= sizeof(uint16_t)) {
      const auto word = Load<uint16_t>(rest_.data);
      more = (word & 0x8000) != 0;
      rest_ = rest_.From(sizeof word);
      const size_t length = std::min<size_t>(word & 0x7fff, rest_.size);
      peer::Reply reply{{rest_.data, rest_.data + length}};
      SetSequences(sequence, &reply.bytes);
      replies->push_back(reply);
      rest_ = rest_.From(length);
    }
    replies->push_back(peer::Reply{{}, 0, EIO});
  }

  Bytes rest_;
};

}  // namespace fuzz
