// Only in the prebuilt binaries: what a new compiler's headers call, and the
// oldest systems that Node 20 runs on (glibc 2.28, GCC 8's libstdc++) lack.
// The definitions stay inside the addon. Built from source it needs none of them.

#include <pthread.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>

// glibc 2.32: lets reference counts skip the atomic instructions. Zero, "there
// may be threads", is always right.
extern "C" __attribute__((visibility("hidden"))) char __libc_single_threaded;
char __libc_single_threaded = 0;

namespace std {

// libstdc++ of GCC 11.
void __throw_bad_array_new_length() { throw bad_array_new_length(); }

// libstdc++ of GCC 9: without RTTI, make_shared compares tags by address, and
// by this one when they may come from two libraries.
bool _Sp_make_shared_tag::_S_eq(const type_info& /*tag*/) noexcept { return false; }

// libstdc++ of GCC 12 gave it a new version, as being cancelled in it no longer ends the process.
void condition_variable::wait(unique_lock<mutex>& lock) {
  pthread_cond_wait(native_handle(), lock.mutex()->native_handle());
}

}  // namespace std
