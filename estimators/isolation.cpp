#include "estimators/isolation.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <poll.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/command_reply.hpp"

namespace duet {
namespace {

using Clock = std::chrono::steady_clock;

/// The worker's end of the connection.
constexpr int connection_number = 3;
/// How soon a stop request is noticed.
constexpr std::chrono::milliseconds look_every{20};
/// A worker that does not get ready in this time never will; an estimator's own limit may be longer.
constexpr double start_limit_s = 60;
/// How long a worker that has closed its connection may take to end.
constexpr double farewell_limit_s = 1;
constexpr std::size_t message_limit = std::size_t{64} << 20;
constexpr std::size_t error_limit = 2000;   ///< bytes of standard error that are kept

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool can_limit_memory = false;  // the sanitizers' shadow memory counts as the worker's
#else
constexpr bool can_limit_memory = true;
#endif

// --- Messages: the length of the content, a letter, the content. Both ends are the same program on one machine.

constexpr char task = 't';           // memory limit, texts                →  about | refused
constexpr char estimate_of = 'e';    // candidate                          →  evaluation
constexpr char key_of = 'k';         // candidate                          →  fingerprint | thrown
constexpr char observation = 'o';    // candidate, evaluation              →  done | thrown
constexpr char about = 'a';          // metrics and so on
constexpr char refused = 'r';        // text
constexpr char evaluation_of = 'v';  // evaluation
constexpr char fingerprint_of = 'f';
constexpr char thrown = 'x';  // text
constexpr char done = 'd';
constexpr char out_of_memory = 'm';  // at any time: the worker's last

constexpr std::size_t header_size = sizeof(std::uint32_t) + 1;

std::string frame(char kind, std::string_view content) {
  const auto size = static_cast<std::uint32_t>(content.size());
  std::string bytes(header_size, kind);
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes.append(content);
}

class Packer {
 public:
  Packer& add(std::uint64_t value) { return append(&value, sizeof value); }
  Packer& add(double value) { return append(&value, sizeof value); }
  Packer& add(std::string_view text) {
    add(std::uint64_t{text.size()});
    return append(text.data(), text.size());
  }
  Packer& add(const Fingerprint& value) { return add(value.high).add(value.low); }
  Packer& add(const Candidate& candidate) {
    add(std::uint64_t{candidate.size()});
    for (std::size_t i = 0; i < candidate.size(); ++i) add(candidate[i]);
    return *this;
  }
  Packer& add(const Evaluation& evaluation) {
    add(static_cast<std::uint64_t>(evaluation.status)).add(std::string_view(evaluation.reason));
    add(std::uint64_t{evaluation.values.size()});
    for (const double value : evaluation.values) add(value);
    return add(std::uint64_t{evaluation.cached}).add(evaluation.duration_s);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Packer& append(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }
  std::string bytes_;
};

/// What a Packer has packed. \throws std::runtime_error where it has not: a worker may have been damaged.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t integer() { return read<std::uint64_t>(); }
  double number() { return read<double>(); }
  std::string text() {
    const std::size_t size = length();
    std::string result(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return result;
  }
  Fingerprint fingerprint() {
    Fingerprint result;
    result.high = integer();
    result.low = integer();
    return result;
  }
  Candidate candidate() {
    Candidate result(length(sizeof(double)));
    for (std::size_t i = 0; i < result.size(); ++i) {
      const double code = number();
      if (!std::isnan(code)) result.set(i, code);
    }
    return result;
  }
  Evaluation evaluation() {
    Evaluation result;
    const std::uint64_t status = integer();
    if (status > static_cast<std::uint64_t>(Status::invalid)) fail();
    result.status = static_cast<Status>(status);
    result.reason = text();
    result.values.resize(length(sizeof(double)));
    for (double& value : result.values) value = number();
    result.cached = integer() != 0;
    result.duration_s = number();
    return result;
  }
  /// A count of things that take so many bytes each, at least.
  std::size_t length(std::size_t each = 1) {
    const std::uint64_t count = integer();
    if (count > bytes_.size() / each) fail();
    return static_cast<std::size_t>(count);
  }

 private:
  [[noreturn]] static void fail() { throw std::runtime_error("the worker process gave an answer that makes no sense"); }
  template <typename T>
  T read() {
    T value;
    if (bytes_.size() < sizeof value) fail();
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view bytes_;
};

// --- Sentences

/// "killed by signal 11 (segmentation fault)"
std::string how_it_ended(int status) {
  if (!WIFSIGNALED(status)) return fmt::format("ended with exit code {}", WEXITSTATUS(status));
  const char* description = sigdescr_np(WTERMSIG(status));
  std::string text = description == nullptr ? "unknown" : description;
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return fmt::format("killed by signal {} ({})", WTERMSIG(status), text);
}

}  // namespace

// --- Our side

struct IsolatedEstimator::Answer {
  enum class End { answered, timed_out, out_of_memory, ended, stopped };
  End end = End::answered;
  char kind = 0;          ///< of the message, if answered
  std::string content;    ///< of the message, if answered
  std::string reason;     ///< if not
};

/// One worker process and the connection to it.
class IsolatedEstimator::Worker {
 public:
  /// \returns 0 or the system's error.
  int start(const Process& process) {
    Pipe connection, error;
    const FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!nothing.open() || !open_socket_pair(connection) || !open_pipe(error)) return errno;
    const std::array files{nothing.value(), nothing.value(), error.write.value(), connection.write.value()};
    if (const int code = child_.start(process, files); code != 0) return code;
    connection_ = std::move(connection.read);
    error_ = std::move(error.read);
    make_non_blocking(error_);
    return 0;
  }

  bool has_ended() const { return child_.has_ended(); }

  /// Sends a message and waits for one. Unless it is answered, the worker is dead after that. `doing` says what it is
  /// about, for reasons: "scoring".
  Answer exchange(char kind, std::string_view content, std::string_view doing, const IsolationLimits& limits,
                  std::stop_token stop) {
    const std::string message = frame(kind, content);
    std::string_view unsent = message;
    Clock::time_point farewell = Clock::time_point::max();
    const Clock::time_point start = Clock::now();
    incoming_.clear();
    error_tail_.clear();
    used = true;
    while (true) {
      send_some(unsent);
      // In this order: who finds an answer finds all that was written to standard error before it.
      std::array<pollfd, 3> events{
          pollfd{connection_.value(), static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT), 0},
          pollfd{error_.value(), POLLIN, 0}, pollfd{child_.end_event(), POLLIN, 0}};
      double wait_s = std::chrono::duration<double>(look_every).count();
      if (limits.time_s) wait_s = std::min(wait_s, std::max(0.0, *limits.time_s - seconds_since(start)) + 0.001);
      const int ready = poll(events.data(), events.size(), static_cast<int>(std::ceil(wait_s * 1000)));
      const bool ended = events[2].revents != 0 || (ready <= 0 && child_.has_ended());
      if ((events[0].revents != 0 || ended) && connection_.open() && !receive()) {
        connection_.close();
        farewell = Clock::now() + std::chrono::milliseconds(static_cast<int>(1000 * farewell_limit_s));
      }
      if (events[1].revents != 0 || ended) read_error();

      if (const std::optional<Answer> answer = complete()) {
        if (answer->kind != out_of_memory) {
          read_error();
          return *answer;
        }
        child_.end();
        return {Answer::End::out_of_memory, 0, "",
                fmt::format("used more than {} of memory while {}",
                            human(limits.memory_bytes.value_or(0), "B"), doing)};
      }
      if (ended) {
        return {Answer::End::ended, 0, "",
                fmt::format("{} while {}{}", how_it_ended(child_.end()), doing, error_excerpt(error_tail_))};
      }
      if (stop.stop_requested()) {
        child_.end();
        return {Answer::End::stopped, 0, "", "stopped"};
      }
      if (Clock::now() >= farewell) {
        child_.end();
        return {Answer::End::ended, 0, "",
                fmt::format("closed its connection to duet while {}{}", doing, error_excerpt(error_tail_))};
      }
      if (limits.time_s && seconds_since(start) >= *limits.time_s) {
        child_.end();
        read_error();
        return {Answer::End::timed_out, 0, "",
                fmt::format("no answer within {} while {}{}", human(*limits.time_s, "s"), doing,
                            error_excerpt(error_tail_))};
      }
    }
  }

  std::string description;   ///< what it says of its estimator
  bool used = false;         ///< has been asked anything
  std::size_t observed = 0;  ///< how many observations it has been told

 private:
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  void send_some(std::string_view& unsent) const {
    while (!unsent.empty() && connection_.open()) {
      const ssize_t count = send(connection_.value(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        unsent.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        unsent = {};  // nobody reads it: what became of the worker shows when we wait for its answer
      }
    }
  }

  /// \returns false at the end of the connection, or if what comes cannot be a message.
  bool receive() {
    std::array<char, 4096> buffer;
    while (true) {
      const ssize_t count = recv(connection_.value(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count > 0) {
        incoming_.append(buffer.data(), static_cast<std::size_t>(count));
        if (incoming_.size() > message_limit) return false;
        if (static_cast<std::size_t>(count) < buffer.size()) return true;
      } else if (count == 0) {
        return false;
      } else if (errno != EINTR) {
        return errno == EAGAIN;
      }
    }
  }

  void read_error() {
    if (!error_.open()) return;
    const bool more = read_available(error_, [this](std::string_view text) {
      error_tail_ += text;
      if (error_tail_.size() > error_limit) error_tail_.erase(0, error_tail_.size() - error_limit);
      return true;
    });
    if (!more) error_.close();
  }

  std::optional<Answer> complete() const {
    std::uint32_t size = 0;
    if (incoming_.size() < header_size) return std::nullopt;
    std::memcpy(&size, incoming_.data(), sizeof size);
    if (incoming_.size() < header_size + size) return std::nullopt;
    return Answer{Answer::End::answered, incoming_[sizeof size], incoming_.substr(header_size, size), ""};
  }

  ChildProcess child_;
  FileDescriptor connection_;
  FileDescriptor error_;
  std::string incoming_;
  std::string error_tail_;
};

IsolatedEstimator::IsolatedEstimator(Process worker, std::vector<std::string> texts, IsolationLimits limits)
    : process_(std::move(worker)), task_(std::move(texts)), limits_(limits) {
  try {
    std::unique_ptr<Worker> first = start({});
    description_ = first->description;
    about_ = read_about(description_);
    give_back(std::move(first));
  } catch (const std::runtime_error& error) {
    throw ConfigError(error.what());
  }
}

IsolatedEstimator::~IsolatedEstimator() = default;

std::size_t IsolatedEstimator::started() const {
  const std::lock_guard lock(mutex_);
  return started_;
}

IsolatedEstimator::About IsolatedEstimator::read_about(const std::string& description) {
  Unpacker unpacker(description);
  About result;
  result.metrics.resize(unpacker.length());
  for (Metric& metric : result.metrics) {
    metric.name = unpacker.text();
    metric.unit = unpacker.text();
    metric.direction = static_cast<Direction>(unpacker.integer());
    metric.source = static_cast<Source>(unpacker.integer());
    metric.description = unpacker.text();
  }
  result.inputs = unpacker.fingerprint();
  result.expensive = unpacker.integer() != 0;
  result.learns = unpacker.integer() != 0;
  return result;
}

/// \throws std::runtime_error with the reason why there is none.
std::unique_ptr<IsolatedEstimator::Worker> IsolatedEstimator::start(std::stop_token stop) const {
  auto worker = std::make_unique<Worker>();
  if (const int code = worker->start(process_); code != 0) {
    throw std::runtime_error("the worker process cannot be started: " + std::generic_category().message(code));
  }
  Packer packer;
  packer.add(limits_.memory_bytes.value_or(0)).add(std::uint64_t{task_.size()});
  for (const std::string& text : task_) packer.add(std::string_view(text));
  IsolationLimits limits = limits_;
  limits.time_s = std::max(start_limit_s, limits_.time_s.value_or(0));
  const Answer answer = worker->exchange(task, packer.bytes(), "starting", limits, std::move(stop));
  if (answer.end != Answer::End::answered) throw std::runtime_error("the worker process cannot be started: " + answer.reason);
  if (answer.kind == refused) throw std::runtime_error(answer.content);
  worker->description = answer.content;
  worker->used = false;
  const std::lock_guard lock(mutex_);
  ++started_;
  return worker;
}

/// \throws std::runtime_error also if its estimator is not what the first one's is.
std::unique_ptr<IsolatedEstimator::Worker> IsolatedEstimator::start_another(std::stop_token stop) const {
  std::unique_ptr<Worker> worker = start(std::move(stop));
  if (worker->description != description_) {
    throw std::runtime_error("what the estimator reads has changed since this run began");
  }
  return worker;
}

/// An idle worker, if there is one.
std::unique_ptr<IsolatedEstimator::Worker> IsolatedEstimator::take() const {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    std::unique_ptr<Worker> worker = std::move(idle_.back());
    idle_.pop_back();
    if (!worker->has_ended()) return worker;
  }
  return nullptr;
}

void IsolatedEstimator::give_back(std::unique_ptr<Worker> worker) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(worker));
}

IsolatedEstimator::Answer IsolatedEstimator::ask_worker(Worker& worker, char kind, const std::string& request,
                                                        std::string_view doing, std::stop_token stop) const {
  while (worker.observed < observations_.size()) {
    Answer answer = worker.exchange(observation, observations_[worker.observed], "learning", limits_, stop);
    if (answer.end != Answer::End::answered || answer.kind != done) return answer;
    ++worker.observed;
  }
  return worker.exchange(kind, request, doing, limits_, std::move(stop));
}

IsolatedEstimator::Answer IsolatedEstimator::ask(char kind, const std::string& request, std::string_view doing,
                                                 std::stop_token stop) const {
  std::unique_ptr<Worker> worker = take();
  while (true) {
    if (!worker) worker = start_another(stop);
    const bool was_used = worker->used;
    Answer answer = ask_worker(*worker, kind, request, doing, stop);
    if (answer.end == Answer::End::answered) {
      give_back(std::move(worker));
      return answer;
    }
    if (!was_used || answer.end == Answer::End::timed_out || answer.end == Answer::End::stopped) return answer;
    worker.reset();
  }
}

Fingerprint IsolatedEstimator::key(const Design& design) const {
  const Answer answer = ask(key_of, Packer().add(design.candidate()).bytes(), "computing the design's key", {});
  if (answer.end != Answer::End::answered) throw std::runtime_error(answer.reason);
  if (answer.kind != fingerprint_of) throw std::runtime_error(answer.content);
  return Unpacker(answer.content).fingerprint();
}

std::vector<Evaluation> IsolatedEstimator::estimate(std::span<const Design> designs, std::stop_token stop) const {
  return estimate_each(designs, [&](const Design& design) {
    const Answer answer = ask(estimate_of, Packer().add(design.candidate()).bytes(), "scoring", stop);
    if (answer.end == Answer::End::timed_out) return Evaluation::failure(answer.reason, Status::timed_out);
    if (answer.end != Answer::End::answered) return Evaluation::failure(answer.reason);
    if (answer.kind != evaluation_of) return Evaluation::failure(answer.content);
    return Unpacker(answer.content).evaluation();
  });
}

void IsolatedEstimator::observe(const Design& design, const Evaluation& evaluation) {
  observations_.push_back(Packer().add(design.candidate()).add(evaluation).bytes());
}

// --- The worker's side

namespace {

/// Blocks. \returns false when nobody listens any more.
bool say(char kind, std::string_view content = {}) {
  const std::string message = frame(kind, content);
  std::string_view unsent = message;
  while (!unsent.empty()) {
    const ssize_t count = send(connection_number, unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (count > 0) {
      unsent.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// Blocks. \returns false at the end of the connection.
bool hear_exactly(char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t count = recv(connection_number, data, size, 0);
    if (count > 0) {
      data += count;
      size -= static_cast<std::size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

struct Heard {
  char kind;
  std::string content;
};

std::optional<Heard> hear() {
  std::array<char, header_size> header;
  if (!hear_exactly(header.data(), header.size())) return std::nullopt;
  std::uint32_t size = 0;
  std::memcpy(&size, header.data(), sizeof size);
  Heard heard{header[sizeof size], std::string(size, '\0')};
  if (!hear_exactly(heard.content.data(), size)) return std::nullopt;
  return heard;
}

/// What `new` does where there is no more memory: says so and leaves. Whatever the estimator would make of the
/// exception, it has asked for more than it may have.
void leave_for_want_of_memory() {
  std::array<char, header_size> message{};
  message.back() = out_of_memory;
  static_cast<void>(send(connection_number, message.data(), message.size(), MSG_NOSIGNAL));
  _exit(1);
}

/// Of private memory that can be written: what libraries map does not count, nor what is reserved without being used.
void limit_memory(double bytes) {
  if (bytes <= 0 || !can_limit_memory) return;
  rlimit limit{};
  getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = std::min(limit.rlim_max, static_cast<rlim_t>(bytes));
  setrlimit(RLIMIT_DATA, &limit);
  std::set_new_handler(leave_for_want_of_memory);
}

std::string describe(const Estimator& estimator) {
  Packer packer;
  packer.add(std::uint64_t{estimator.metrics().size()});
  for (const Metric& metric : estimator.metrics()) {
    packer.add(std::string_view(metric.name)).add(std::string_view(metric.unit));
    packer.add(static_cast<std::uint64_t>(metric.direction)).add(static_cast<std::uint64_t>(metric.source));
    packer.add(std::string_view(metric.description));
  }
  packer.add(estimator.inputs());
  packer.add(std::uint64_t{estimator.expensive()}).add(std::uint64_t{estimator.learns()});
  return packer.bytes();
}

/// The answer to one message. \throws whatever the estimator throws
bool reply(const ServedEstimator& served, const Heard& heard) {
  Unpacker unpacker(heard.content);
  const Design design = served.space->design(unpacker.candidate());
  switch (heard.kind) {
    case estimate_of: return say(evaluation_of, Packer().add(estimate_checked(*served.estimator, design)).bytes());
    case key_of: return say(fingerprint_of, Packer().add(served.estimator->key(design)).bytes());
    case observation: served.estimator->observe(design, unpacker.evaluation()); return say(done);
    default: return false;
  }
}

}  // namespace

void serve_isolated(const std::function<ServedEstimator(std::span<const std::string> task)>& create) {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(connection_number, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    throw ConfigError("a worker process is started by duet itself, for an estimator with 'isolation: process'");
  }
  fcntl(connection_number, F_SETFD, FD_CLOEXEC);  // not for what the estimator starts
  const std::optional<Heard> first = hear();
  if (!first || first->kind != task) return;

  ServedEstimator served;
  std::string description;
  try {
    Unpacker unpacker(first->content);
    limit_memory(unpacker.number());
    std::vector<std::string> texts(unpacker.length());
    for (std::string& text : texts) text = unpacker.text();
    served = create(texts);
    description = describe(*served.estimator);
  } catch (const std::exception& error) {
    say(refused, error.what());
    return;
  }
  bool connected = say(about, description);
  while (connected) {
    const std::optional<Heard> heard = hear();
    if (!heard) return;
    try {
      connected = reply(served, *heard);
    } catch (const std::exception& error) {
      connected = say(thrown, error.what());
    } catch (...) {
      connected = say(thrown, "the estimator failed without saying why");
    }
  }
}

}  // namespace duet
