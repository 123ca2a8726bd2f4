// A netlink peer that a test scripts. The linker leads the core's own socket(), bind(), sendto(),
// recvmsg() and close() here (--wrap in CMakeLists.txt), so that what is tested is what is shipped,
// poll() and deadlines included: behind each netlink socket lies one end of a socket pair.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "netlink/bytes.h"

namespace peer {

// What one recvmsg() answers.
struct Reply {
  std::vector<uint8_t> bytes;
  uint32_t port = 0;  // of the sender; the kernel is 0
  int error = 0;      // instead of bytes: the errno of recvmsg()
};

struct Script {
  // The replies to what one sendto() sent, or the errno with which it fails. Runs on the thread
  // that sends, one at a time, as the kernel executes requests.
  std::function<int(netlink::Bytes sent, std::vector<Reply>* replies)> answer;
  // The errno with which socket() fails, or 0.
  std::function<int()> open = [] { return 0; };
};

void Play(Script script);

// How many sockets were opened since Play(), and how many of them are open now.
size_t Opened();
size_t Open();

}  // namespace peer
