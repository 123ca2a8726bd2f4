// A peer that a test scripts. The linker leads the core's own socket(), bind(), sendto(),
// recvmsg(), ioctl() and close() here (--wrap in CMakeLists.txt), so that what is tested is what is
// shipped, poll() and deadlines included, and nothing leaves this machine: behind each socket lies
// one end of a socket pair.
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
  std::function<int(int domain)> open = [](int) { return 0; };
  // The errno for a frame that a packet socket sends, or 0.
  std::function<int(netlink::Bytes frame)> transmit = [](netlink::Bytes) { return 0; };
  // A device is asked for by name, for which the kernel may load a module; there never is one.
  std::function<void(const char* name)> look_for_device = [](const char*) {};
};

void Play(Script script);

// Steps aside: until the next Play(), sockets are the machine's own. `prepare` gets each before it
// is bound.
void StepAside(std::function<void(int descriptor)> prepare);

// How many sockets were opened since Play(), and how many of them are open now.
size_t Opened();
size_t Open();

}  // namespace peer
