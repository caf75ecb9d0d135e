using System.Text.RegularExpressions;
using Xunit;

namespace Architecture.Tests;

/// <summary>Rules that the compiler does not hold anybody to.</summary>
public sealed partial class SourceTests
{
    private static readonly IReadOnlyList<string> s_product = Tree.Files("src", "*.cs");

    [Fact]
    public void A_file_holds_one_public_type_and_is_named_after_it()
    {
        foreach (string path in s_product)
        {
            string[] types = [.. Tree.Lines(path)
                .Select(l => PublicType().Match(l))
                .Where(m => m.Success)
                .Select(m => m.Groups[1].Value)
                .Distinct()];
            Assert.True(types.Length <= 1, $"{path} holds {string.Join(", ", types)}");
            string name = Path.GetFileNameWithoutExtension(path).Split('.')[0]; // Type.Part.cs is part of Type
            Assert.True(types.Length == 0 || types[0] == name, $"{path} holds {types.FirstOrDefault()}");
        }
    }

    [Theory]
    [InlineData(@"\bThread\.Sleep\b", "waits for time instead of for the thing itself")]
    [InlineData(@"\bSuppressGCTransition\b", "keeps the garbage collector waiting for as long as the call takes")]
    [InlineData(@"\bDllImport\b", "needs marshalling at run time; LibraryImport does not")]
    [InlineData(@"\bGC\.Collect\b", "stops every thread")]
    public void Some_things_are_not_done_here(string pattern, string because)
    {
        Regex forbidden = new(pattern);
        foreach (string path in s_product)
        {
            string[] lines = Tree.Lines(path);
            for (int i = 0; i < lines.Length; i++)
                Assert.False(forbidden.IsMatch(WithoutComment(lines[i])), $"{path}:{i + 1}: {pattern} {because}");
        }
    }

    [Fact]
    public void Whoever_leaves_the_safety_net_says_why_that_is_safe()
    {
        const int Near = 6;
        foreach (string path in s_product)
        {
            string[] lines = Tree.Lines(path), code = [.. lines.Select(WithoutComment)];
            bool declarations = code.Any(l => l.Contains("[LibraryImport(", StringComparison.Ordinal));
            if (declarations || !code.Any(l => Unsafe().IsMatch(l))) continue;
            Assert.True(lines.Any(IsSafety), $"{path} is unsafe and has no SAFETY comment");
            for (int i = 0; i < lines.Length; i++)
            {
                if (!Pinned().IsMatch(code[i])) continue;
                bool said = lines[Math.Max(0, i - Near)..Math.Min(lines.Length, i + Near + 1)].Any(IsSafety);
                Assert.True(said, $"{path}:{i + 1} has no SAFETY comment near it");
            }
        }

        static bool IsSafety(string line) => line.Contains("SAFETY:", StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_names_a_place_that_only_one_machine_has()
    {
        string[] text = [".cs", ".csproj", ".props", ".md", ".json", ".sh", ".sln", ".yml", ".editorconfig", ""];
        string self = Path.Combine("tests", "Architecture.Tests", "SourceTests.cs");
        foreach (string path in Tree.Files("").Where(p => text.Contains(Path.GetExtension(p)) && p != self))
        {
            string[] lines = Tree.Lines(path);
            for (int i = 0; i < lines.Length; i++)
                Assert.False(Place().IsMatch(lines[i]), $"{path}:{i + 1}: {Place().Match(lines[i]).Value}");
        }
    }

    private static string WithoutComment(string line)
    {
        int comment = line.IndexOf("//", StringComparison.Ordinal);
        return comment < 0 ? line : line[..comment];
    }

    // Types of a file-scoped namespace begin at the margin.
    [GeneratedRegex(@"^public (?:(?:sealed|static|abstract|readonly|unsafe|partial|ref) )*" +
        @"(?:class|struct|record struct|record|interface|enum|delegate \S+) (\w+)")]
    private static partial Regex PublicType();

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex Unsafe();

    [GeneratedRegex(@"\bfixed \(|^\s*unsafe\s*$")]
    private static partial Regex Pinned();

    [GeneratedRegex(@"(?<![\w.])/(?:work|home|Users)/|" +
        @"\b(?:nuget\.org|pkgs\.dev\.azure\.com|npmjs\.org|pypi\.org|crates\.io|proxy\.golang\.org)\b")]
    private static partial Regex Place();
}
