using System.Text;
using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

/// <summary>What a report shows of a console: readable, and nothing that a terminal would act on.</summary>
public sealed class ConsoleTailTests
{
    [Theory]
    [InlineData("[\u001B[0;32m  OK  \u001B[0m] Finished \u001B[0;1;39msystemd-tmpfiles-setup-de\u2026", "[  OK  ] Finished systemd-tmpfiles-setup-de\u2026")]
    [InlineData("\u001B]0;root@demo: /\u0007# \u001B[?2004h\u001B[6n", "#")]
    [InlineData("\u001BPq#0~\u001B\\picture", "picture")]
    [InlineData("\u001Bcreset \u001B(Bset \u001BMup", "reset set up")]
    [InlineData("a\u0007b\u0008c \u001B", "a b c")]
    [InlineData("\u202Egnp.exe\u2028next", "gnp.exe next")]
    public void A_line_is_plain_text(string printed, string shown) =>
        Assert.Equal(shown, ConsoleTail.Printable(Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(printed))));

    [Fact]
    public void What_is_not_utf_8_does_no_harm() => Assert.Equal("a\uFFFD\uFFFDb", ConsoleTail.Printable("a\u00FF\u00FEb"));
}
