// Addresses and links over rtnetlink, against replies of the fuzzer's choice: the first byte
// chooses the call.

#include <cstdlib>

#include "channel.h"
#include "route/addresses.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const fuzz::Channel channel(data + 1, size - 1);
  route::Records addresses;
  if (data[0] % 3 == 2) {
    route::Records changes(2 * route::ChangeSize(), 0);
    netlink::Store<uint32_t>(changes.data(), 1);
    const size_t device = sizeof(route::ChangeHeader) + offsetof(route::AddressRecord, device);
    changes[device] = 'l';
    changes[device + 1] = 'o';
    std::vector<netlink::Outcome> outcomes;
    route::ChangeAddresses(nullptr, changes, 1000, &outcomes);
    return 0;
  }
  const std::string device = data[0] % 3 == 1 ? "lo" : "";
  const auto outcome = route::ReadAddresses(nullptr, device, 1000, &addresses);
  if (outcome.ok() && addresses.size() % route::kAddressTable.record_size != 0) std::abort();
  return 0;
}
