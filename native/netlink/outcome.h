// What became of one request: where it stopped, and with which errno.
#pragma once

#include <cstdint>
#include <string>

namespace netlink {

// Where a failure arose. The same errno means different things at different stages: ENOENT from
// kFamily is "this kernel has no such family", from kKernel it is the command's own answer.
// The numbers cross to JavaScript (types/addon.d.ts).
enum class Stage : int32_t {
  kNone = 0,       // success: the kernel's acknowledgement was seen
  kNamespace = 1,  // entering the network namespace
  kSocket = 2,     // opening the socket
  kFamily = 3,     // resolving the generic netlink family
  kSend = 4,       // nothing was executed
  kReply = 5,      // sent, and the answer is missing or unreadable: the outcome is unknown
  kKernel = 6,     // the kernel refused
};

struct Outcome {
  Stage stage = Stage::kNone;
  int error = 0;     // a positive errno
  std::string text;  // the kernel's own words (extended acknowledgement), mostly empty

  bool ok() const { return stage == Stage::kNone; }
};

inline Outcome Failure(Stage stage, int error, std::string text = {}) {
  return Outcome{stage, error, std::move(text)};
}

// Whether the kernel itself answered this errno.
inline bool IsRefusal(const Outcome& outcome, int error) {
  return outcome.stage == Stage::kKernel && outcome.error == error;
}

}  // namespace netlink
