#include "estimators/idx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/errors.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

/// An IDX file of unsigned bytes.
std::string idx(const std::vector<unsigned>& shape, const std::string& values) {
  std::string text{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const unsigned extent : shape) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) text += static_cast<char>(extent >> shift & 0xff);
  }
  return text + values;
}

void write_compressed(const std::filesystem::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

class IdxTest : public ::testing::Test {
 protected:
  /// The message with which reading a file of this content as an array of `rank` dimensions is refused.
  std::string refusal(const std::string& text, std::size_t rank) {
    write_file(directory_ / "file", text);
    return refusal_of([&] { read_idx(directory_ / "file", rank); });
  }

  template <class Read>
  static std::string refusal_of(Read read) {
    try {
      read();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "not refused";
  }

  TemporaryDirectory directory_;
};

TEST_F(IdxTest, ReadsPlainFiles) {
  write_file(directory_ / "file", idx({2, 1, 3}, "abcxyz"));
  const IdxArray array = read_idx(directory_ / "file", 3);
  EXPECT_THAT(array.shape, ElementsAre(2, 1, 3));
  EXPECT_THAT(array.values, ElementsAre('a', 'b', 'c', 'x', 'y', 'z'));
}

TEST_F(IdxTest, ReadsCompressedFiles) {
  write_compressed(directory_ / "file", idx({300, 300}, std::string(90000, '\x7f')));
  const IdxArray array = read_idx(directory_ / "file", 2);
  EXPECT_THAT(array.shape, ElementsAre(300, 300));
  EXPECT_EQ(array.values, std::vector<std::uint8_t>(90000, 0x7f));
}

TEST_F(IdxTest, ExtentsAreBigEndian) {
  write_file(directory_ / "file", idx({258}, std::string(258, 'x')));
  EXPECT_THAT(read_idx(directory_ / "file", 1).shape, ElementsAre(258));
}

TEST_F(IdxTest, SaysWhatIsWrongWithAFile) {
  const std::string good = idx({2, 3}, "abcxyz");
  EXPECT_THAT(refusal("", 2), HasSubstr("truncated"));
  EXPECT_THAT(refusal(good.substr(0, 3), 2), HasSubstr("ends within the IDX header"));
  EXPECT_THAT(refusal(good.substr(0, 9), 2), HasSubstr("ends within the IDX header"));
  EXPECT_THAT(refusal(good.substr(0, 16), 2), HasSubstr("truncated: it holds 4 of 6 bytes"));
  EXPECT_THAT(refusal(good + "!", 2), HasSubstr("holds more than the 6 bytes it announces"));
  EXPECT_THAT(refusal(good, 3), HasSubstr("has 2 dimensions, expected 3"));
  EXPECT_THAT(refusal("\x89PNG....", 2), HasSubstr("not an IDX file: it begins with the bytes 89 50"));
  std::string floats = good;
  floats[2] = '\x0d';
  EXPECT_THAT(refusal(floats, 2), HasSubstr("IDX type 0x0d"));
  EXPECT_THAT(refusal(idx({2, 0}, ""), 2), HasSubstr("dimension 1 is empty"));
  EXPECT_THAT(refusal(idx({0xffffffff, 0xffffffff}, ""), 2), HasSubstr("more than 8 GiB"));
  EXPECT_THAT(refusal(good + "!", 2), HasSubstr((directory_ / "file").string()));
}

TEST_F(IdxTest, SaysWhatIsWrongWithACompressedFile) {
  std::string noise;  // does not compress, so that cutting the file cuts the values
  for (unsigned i = 0; i < 4000; ++i) noise += static_cast<char>(i * i * 2654435761U >> 24);
  write_compressed(directory_ / "whole.gz", idx({4000}, noise));
  std::string bytes = read_file(directory_ / "whole.gz");
  EXPECT_THAT(refusal(bytes.substr(0, bytes.size() / 2), 1), HasSubstr("truncated"));
  EXPECT_THAT(refusal(bytes.substr(0, bytes.size() - 4), 1), HasSubstr("truncated"));
  bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 1);  // of the checksum
  EXPECT_THAT(refusal(bytes, 1), HasSubstr("cannot decompress the file"));
}

TEST_F(IdxTest, AbsentFilesAndDirectoriesAreRefused) {
  EXPECT_THAT(refusal_of([&] { read_idx(directory_ / "absent", 1); }),
              HasSubstr("absent: cannot read the file"));
  EXPECT_THAT(refusal_of([&] { read_idx(directory_.path(), 1); }), HasSubstr("cannot read the file"));
}

TEST_F(IdxTest, ReadsAPairOfFiles) {
  write_file(directory_ / "train-images-idx3-ubyte", idx({3, 1, 2}, "aabbcc"));
  write_compressed(directory_ / "train-labels-idx1-ubyte.gz", idx({3}, "\x02\x01\x02"));
  const ImageSet images = read_images(directory_.path(), ImagePart::train);
  EXPECT_EQ(images.size(), 3);
  EXPECT_EQ(images.height, 1);
  EXPECT_EQ(images.width, 2);
  EXPECT_THAT(images.labels, ElementsAre(2, 1, 2));

  const ImageSet some = images.subset({2, 0});
  EXPECT_THAT(some.pixels, ElementsAre('c', 'c', 'a', 'a'));
  EXPECT_THAT(some.labels, ElementsAre(2, 2));

  EXPECT_THAT(refusal_of([&] { read_images(directory_.path(), ImagePart::test); }),
              HasSubstr("there is neither 't10k-images-idx3-ubyte' nor 't10k-images-idx3-ubyte.gz'"));
}

TEST_F(IdxTest, NumbersOfImagesAndLabelsMustAgree) {
  write_file(directory_ / "t10k-images-idx3-ubyte", idx({3, 1, 2}, "aabbcc"));
  write_file(directory_ / "t10k-labels-idx1-ubyte", idx({2}, "\x02\x01"));
  EXPECT_THAT(refusal_of([&] { read_images(directory_.path(), ImagePart::test); }),
              HasSubstr("t10k-labels-idx1-ubyte: holds 2 labels for the 3 images of t10k-images-idx3-ubyte"));
}

}  // namespace
}  // namespace duet
