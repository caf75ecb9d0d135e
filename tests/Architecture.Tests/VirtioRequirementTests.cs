using System.Text.RegularExpressions;
using Xunit;

namespace Architecture.Tests;

/// <summary>The table of virtio requirements in docs/virtio-blk.md and the tests it names go together.</summary>
public sealed partial class VirtioRequirementTests
{
    [Fact]
    public void Every_requirement_has_a_test_that_names_its_section()
    {
        Dictionary<string, string> names = [];
        foreach (string file in Tree.Files("tests/Virtio.Tests", "*.cs").Concat(Tree.Files("tests/VirtioBlk.Tests", "*.cs")))
        {
            string source = string.Join('\n', Tree.Lines(file));
            foreach (Match test in Tests().Matches(source))
                names.Add($"{Path.GetFileNameWithoutExtension(file)}.{test.Groups["method"].Value}", test.Groups["name"].Value);
        }

        List<string> wrong = [];
        HashSet<string> sections = [];
        foreach (Match row in Tree.Lines("docs/virtio-blk.md").Select(line => Rows().Match(line)).Where(row => row.Success))
        {
            (string section, string test) = (row.Groups["section"].Value, row.Groups["test"].Value);
            sections.Add(section);
            if (!names.TryGetValue(test, out string? name)) wrong.Add($"{section}: there is no test {test}");
            else if (!name.Split(':')[0].Split(' ', ',').Contains(section)) wrong.Add($"{test} does not name {section}: \"{name}\"");
        }

        Assert.Empty(wrong);
        // The device's normative sections that have a MUST for what this one offers.
        Assert.Equal(
            [
                "2.1.2", "2.2.2", "2.4.1", "2.5.2", "2.7.10.2", "2.7.4.1", "2.7.5.1", "2.7.5.3.2", "2.7.7.2", "2.7.8.2",
                "4.2.2.1", "5.2.5.2", "5.2.6.2", "6.2",
            ],
            sections.Order(StringComparer.Ordinal));
    }

    [GeneratedRegex(@"^\| (?<section>\d[\d.]*) \| [^|]+ \| `(?<test>\w+\.\w+)` \|$")]
    private static partial Regex Rows();

    [GeneratedRegex(@"\[(?:Fact|Theory)\(DisplayName = ""(?<name>[^""]*)""\)\]\n(?:    \[[^\n]*\n)*    public void (?<method>\w+)\(")]
    private static partial Regex Tests();
}
