#include "netlink/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

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
  // O_PATH names a thing without opening it, which alone may do something: let go whoever waits to
  // write into a pipe, arm a watchdog, give this process a terminal.
  const Descriptor named(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct statfs system = {};
  if (!named.valid() || fstatfs(named.get(), &system) != 0) {
    return Failure(Stage::kNamespace, errno);
  }
  if (system.f_type != NSFS_MAGIC) return Failure(Stage::kNamespace, EINVAL);
  // Not by its path again, which may lead elsewhere by now.
  const std::string same = "/proc/self/fd/" + std::to_string(named.get());
  return Keep(Descriptor(open(same.c_str(), O_RDONLY | O_CLOEXEC)), opened);
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
