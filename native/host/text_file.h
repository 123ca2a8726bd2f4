// Files of /proc/net, which show the network namespace of the thread that opened them. All
// functions may block: never on the main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "netlink/descriptor.h"
#include "netlink/namespace.h"

namespace host {

// Read piece by piece; one piece is in memory at a time.
class TextFile {
 public:
  // `name` is such as "ip_vs_conn": lower-case letters, digits and '_', else EINVAL.
  static netlink::Outcome Open(const std::shared_ptr<netlink::NetworkNamespace>& where,
                               const std::string& name, TextFile* opened);

  // The next bytes, at most `most`; none at the end.
  netlink::Outcome Read(size_t most, std::vector<uint8_t>* bytes);

 private:
  netlink::Descriptor file_;
};

// The whole of a short file.
netlink::Outcome ReadText(const std::shared_ptr<netlink::NetworkNamespace>& where,
                          const std::string& name, std::string* text);

}  // namespace host
