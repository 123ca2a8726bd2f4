// A network namespace that somebody named, and work done inside it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "netlink/descriptor.h"
#include "netlink/outcome.h"

namespace netlink {

// Null stands for the process's own namespace. Shared, because sockets are opened long after the
// handle was made; while anyone holds it the namespace lives on, even if its name is deleted.
class NetworkNamespace {
 public:
  static Outcome Open(const std::string& path, std::shared_ptr<NetworkNamespace>* opened);
  // Duplicates the descriptor: the caller keeps its own.
  static Outcome Open(int descriptor, std::shared_ptr<NetworkNamespace>* opened);

  explicit NetworkNamespace(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  int descriptor() const { return descriptor_.get(); }

 private:
  Descriptor descriptor_;
};

// Runs `work` inside the namespace: at once when it is null, else on a thread that lives for this
// call alone, so that no thread of the process is ever left in a namespace that is not its own.
Outcome RunInNamespace(const std::shared_ptr<NetworkNamespace>& where,
                       const std::function<Outcome()>& work);

}  // namespace netlink
