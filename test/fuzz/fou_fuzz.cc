// Receiving ends of tunnels, against replies of the fuzzer's choice: the first byte chooses the
// call.

#include <sys/socket.h>

#include <cstdlib>

#include "channel.h"
#include "netlink/family.h"
#include "route/fou.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const fuzz::Channel channel(data + 1, size - 1);
  constexpr route::FouPort kPort = {AF_INET, 6080};
  constexpr int kSilence = 1000;
  const unsigned call = data[0] % 4;
  if (call < 2) {
    route::ChangeGuePort(nullptr, call == 0, kPort, kSilence);
  } else if (call == 2) {
    netlink::LoadFamily(nullptr, "fou", kSilence);
  } else {
    route::Encapsulation found{};
    const bool read = route::ReadFouPort(nullptr, kPort, kSilence, &found).ok();
    // The kernel has a byte for it.
    if (read && static_cast<uint32_t>(found) > UINT8_MAX) std::abort();
  }
  return 0;
}
