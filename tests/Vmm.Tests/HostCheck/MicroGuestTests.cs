using System.Globalization;
using System.Text.RegularExpressions;
using Iced.Intel;
using TestKit;
using Xunit;
using Decoder = Iced.Intel.Decoder;

namespace Vmm.Tests.HostCheck;

/// <summary>The hand-assembled machine code is what the comments beside it say.</summary>
public sealed partial class MicroGuestTests
{
    [Fact]
    public void Bytes_and_comments_agree_with_a_disassembler()
    {
        string[] lines = File.ReadAllLines(Repository.PathOf("src", "Vmm", "HostCheck", "MicroGuests.cs"));
        int checkedLines = 0;
        List<string> wrong = [];
        foreach (string line in lines)
        {
            Match match = Instruction().Match(line);
            if (!match.Success) continue;
            byte[] code = [.. match.Groups["bytes"].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                .Select(b => byte.Parse(b.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
            string disassembly = Disassemble(code);
            if (match.Groups["asm"].Value != disassembly) wrong.Add($"{line.Trim()} is {disassembly}");
            checkedLines++;
        }

        Assert.Empty(wrong);
        Assert.True(checkedLines > 40, $"only {checkedLines} instructions found");
    }

    private static string Disassemble(byte[] code)
    {
        Decoder decoder = Decoder.Create(64, code);
        decoder.Decode(out Instruction instruction);
        Assert.Equal(code.Length, instruction.Length); // one instruction, whole
        // Branches as their distance from themselves: $ is the instruction's own address, here 0.
        if (instruction.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch)
            return $"{instruction.Mnemonic.ToString().ToLowerInvariant()} ${(long)instruction.NearBranchTarget:+0;-0;#}";
        MasmFormatter formatter = new(new FormatterOptions
        {
            HexSuffix = "h",
            MemorySizeOptions = MemorySizeOptions.Never,
        });
        StringOutput text = new();
        formatter.Format(instruction, text);
        return text.ToStringAndReset();
    }

    [GeneratedRegex(@"^\s+(?<bytes>(?:0x[0-9A-F]{2}, *)+)// (?<asm>.+)$")]
    private static partial Regex Instruction();
}
