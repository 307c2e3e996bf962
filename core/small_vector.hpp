#pragma once
/// A vector of few numbers that lie in the object itself: lists that are there by the million and seldom longer than N, such
/// as the shapes and inputs of a network's nodes. Converts from and to std::vector.

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace duet {

/// As std::vector, but for trivial types only, and an iterator is a pointer that no move of the vector survives.
template <class T, std::uint32_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && N * sizeof(T) >= sizeof(T*) + sizeof(std::size_t));  // NOLINT(bugprone-sizeof-expression): room for a pointer

 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  SmallVector() : size_(0), outside_(false) {}
  explicit SmallVector(std::size_t size, T value = T()) : SmallVector() { resize(size, value); }
  SmallVector(std::initializer_list<T> values) : SmallVector(values.begin(), values.end()) {}
  SmallVector(const std::vector<T>& values) : SmallVector(values.begin(), values.end()) {}  // NOLINT(google-explicit-constructor): like any vector
  template <std::forward_iterator Iterator>
  SmallVector(Iterator first, Iterator last) : SmallVector() {
    assign(first, last);
  }
  SmallVector(const SmallVector& other) : size_(0), outside_(false) {
    if (other.outside_) {
      assign(other.begin(), other.end());
    } else {
      storage_ = other.storage_;
      size_ = other.size_;
    }
  }
  SmallVector(SmallVector&& other) noexcept : storage_(other.storage_), size_(other.size_), outside_(other.outside_) {
    other.size_ = 0;
    other.outside_ = false;
  }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this == &other) return *this;
    if (outside_) delete[] storage_.outside.data;
    storage_ = other.storage_;
    size_ = std::exchange(other.size_, 0);
    outside_ = std::exchange(other.outside_, false);
    return *this;
  }
  ~SmallVector() {
    if (outside_) delete[] storage_.outside.data;
  }

  operator std::vector<T>() const { return {begin(), end()}; }  // NOLINT(google-explicit-constructor): like any vector

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return outside_ ? storage_.outside.data : storage_.inside; }
  const T* data() const { return outside_ ? storage_.outside.data : storage_.inside; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  const T* cbegin() const { return begin(); }
  const T* cend() const { return end(); }
  reverse_iterator rbegin() { return reverse_iterator(end()); }
  reverse_iterator rend() { return reverse_iterator(begin()); }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  T& at(std::size_t i) { return data()[checked(i)]; }
  const T& at(std::size_t i) const { return data()[checked(i)]; }
  T& front() { return data()[0]; }
  const T& front() const { return data()[0]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }

  void reserve(std::size_t capacity) {
    if (capacity <= this->capacity()) return;
    T* const larger = new T[capacity];
    std::copy(begin(), end(), larger);
    if (outside_) delete[] storage_.outside.data;
    storage_.outside = {larger, capacity};
    outside_ = true;
  }
  void clear() { size_ = 0; }
  void resize(std::size_t size, T value = T()) {
    reserve(size);
    if (size > size_) std::fill(end(), data() + size, value);
    size_ = static_cast<std::uint32_t>(size);
  }
  template <std::forward_iterator Iterator>
  void assign(Iterator first, Iterator last) {
    const auto size = static_cast<std::size_t>(std::distance(first, last));
    clear();
    reserve(size);
    std::copy(first, last, data());
    size_ = static_cast<std::uint32_t>(size);
  }
  void assign(std::size_t size, T value) {
    clear();
    resize(size, value);
  }
  void push_back(T value) {
    if (size_ == capacity()) reserve(2 * size_);
    data()[size_++] = value;
  }
  void pop_back() { --size_; }
  T* insert(const T* before, T value) { return insert(before, &value, &value + 1); }
  /// \pre the values do not lie in this vector
  template <std::forward_iterator Iterator>
  T* insert(const T* before, Iterator first, Iterator last) {
    const auto at = static_cast<std::size_t>(before - begin());
    const auto count = static_cast<std::size_t>(std::distance(first, last));
    reserve(size_ + count);
    std::copy_backward(begin() + at, end(), end() + count);
    std::copy(first, last, begin() + at);
    size_ += static_cast<std::uint32_t>(count);
    return begin() + at;
  }
  T* insert(const T* before, std::initializer_list<T> values) { return insert(before, values.begin(), values.end()); }
  T* erase(const T* at) { return erase(at, at + 1); }
  T* erase(const T* first, const T* last) {
    T* const to = begin() + (first - begin());
    std::copy(begin() + (last - begin()), end(), to);
    size_ -= static_cast<std::uint32_t>(last - first);
    return to;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
  friend auto operator<=>(const SmallVector& a, const SmallVector& b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::size_t capacity() const { return outside_ ? storage_.outside.capacity : N; }
  std::size_t checked(std::size_t i) const {
    if (i >= size_) throw std::out_of_range("SmallVector::at");
    return i;
  }

  union Storage {
    T inside[N];
    struct {
      T* data;
      std::size_t capacity;
    } outside;
  } storage_{};  // copied as a whole, whatever it holds
  std::uint32_t size_;
  bool outside_;
};

}  // namespace duet
