#include "netlink/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <exception>
#include <system_error>
#include <thread>

namespace netlink {

namespace {

// setns() would say the same, but only at the first use; a wrong path is better refused here.
Outcome CheckKind(const Descriptor& descriptor) {
  const int kind = ioctl(descriptor.get(), NS_GET_NSTYPE);
  if (kind == CLONE_NEWNET) return {};
  return Failure(Stage::kNamespace, EINVAL);
}

Outcome Keep(Descriptor descriptor, std::shared_ptr<NetworkNamespace>* opened) {
  if (!descriptor.valid()) return Failure(Stage::kNamespace, errno);
  Outcome outcome = CheckKind(descriptor);
  if (outcome.ok()) *opened = std::make_shared<NetworkNamespace>(std::move(descriptor));
  return outcome;
}

}  // namespace

Outcome NetworkNamespace::Open(const std::string& path, std::shared_ptr<NetworkNamespace>* opened) {
  // O_NONBLOCK: a path that is a FIFO must be refused, not waited for.
  return Keep(Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)), opened);
}

Outcome NetworkNamespace::Open(int descriptor, std::shared_ptr<NetworkNamespace>* opened) {
  return Keep(Descriptor(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)), opened);
}

Outcome RunInNamespace(const std::shared_ptr<NetworkNamespace>& where,
                       const std::function<Outcome()>& work) {
  if (!where) return work();
  Outcome outcome;
  std::exception_ptr thrown;
  const auto enter = [&] {
    try {
      const bool inside = setns(where->descriptor(), CLONE_NEWNET) == 0;
      outcome = inside ? work() : Failure(Stage::kNamespace, errno);
    } catch (...) {
      thrown = std::current_exception();  // an exception that leaves its thread ends the process
    }
  };
  try {
    std::thread(enter).join();
  } catch (const std::system_error& error) {
    return Failure(Stage::kNamespace, error.code().value());
  }
  if (thrown) std::rethrow_exception(thrown);
  return outcome;
}

}  // namespace netlink
