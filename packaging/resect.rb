class Resect < Formula
  desc "Make language models smaller: cut layers, heal, quantize"
  url "@URL@/resect-@VERSION@-linux-amd64.tar.gz"
  version "@VERSION@"
  sha256 "@SHA256@"
  license "Apache-2.0"

  depends_on arch: :x86_64
  depends_on :linux

  def install
    bin.install "bin/resect"
    share.install Dir["share/*"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/resect --version")
    system bin/"resect", "formats"
  end
end
