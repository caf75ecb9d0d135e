using System.Xml.Linq;
using TestKit;
using Xunit;

namespace Architecture.Tests;

/// <summary>
/// Which project may know which: Kvm.Interop ← CowMemory ← Virtio ← VirtioBlk ← Vmm ← Cloning ← Bgkvm.
/// </summary>
public sealed class ProjectTests
{
    private static readonly string[] s_order =
        ["Kvm.Interop", "CowMemory", "Virtio", "VirtioBlk", "Vmm", "Cloning", "Bgkvm"];

    /// <summary>What a package may be used in, where that is not everywhere.</summary>
    private static readonly Dictionary<string, string[]> s_packageHomes = new()
    {
        ["BenchmarkDotNet"] = ["bench/"],
        ["CsCheck"] = ["tests/"],
        ["Iced"] = ["tests/", "bench/"],
        ["xunit.v3"] = ["tests/"],
        ["Tmds.LibC"] = ["src/Kvm.Interop/"],
        ["Mono.Posix.NETStandard"] = ["src/Kvm.Interop/"],
        ["Spectre.Console"] = ["src/Bgkvm/"],
        ["System.CommandLine"] = ["src/Bgkvm/"],
        ["Microsoft.AspNetCore.OpenApi"] = ["src/Bgkvm/"],
        ["ZstdSharp.Port"] = ["src/VirtioBlk/"],
    };

    public static TheoryData<string> Projects =>
        [.. new[] { "src", "tests", "bench" }.SelectMany(f => Tree.Files(f, "*.csproj"))];

    [Fact]
    public void The_product_is_these_projects() =>
        Assert.Equal(s_order.Order(), Tree.Files("src", "*.csproj").Select(Path.GetFileNameWithoutExtension).Order());

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_product_project_knows_only_those_before_it(string project)
    {
        string name = Path.GetFileNameWithoutExtension(project);
        int place = Array.IndexOf(s_order, name);
        if (place < 0) return; // tests and benchmarks may know all
        string[] known = [.. References(project, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r)!)];
        Assert.Empty(known.Except(s_order[..place]));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_package_is_used_where_it_belongs(string project)
    {
        foreach (string package in References(project, "PackageReference"))
        {
            if (!s_packageHomes.TryGetValue(package, out string[]? homes)) continue;
            Assert.True(homes.Any(h => project.StartsWith(h, StringComparison.Ordinal)), $"{project} uses {package}");
        }
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_is_in_the_solution_named_like_its_folder_and_has_its_packages_locked(string project)
    {
        string solution = File.ReadAllText(Repository.PathOf("BgReboot.sln")), folder = Path.GetDirectoryName(project)!;
        Assert.Contains(project.Replace('/', '\\'), solution, StringComparison.Ordinal);
        Assert.Equal(Path.GetFileName(folder), Path.GetFileNameWithoutExtension(project));
        Assert.True(File.Exists(Repository.PathOf(folder, "packages.lock.json")), "no packages.lock.json");
    }

    [Fact]
    public void Every_package_has_its_reason_written_down()
    {
        string[] packages = [.. XDocument.Load(Repository.PathOf("Directory.Packages.props"))
            .Descendants("PackageVersion").Select(e => e.Attribute("Include")!.Value)];
        string[] reasons = [.. Tree.Lines("docs/dependencies.md")
            .Where(l => l.StartsWith("| `", StringComparison.Ordinal))
            .Select(l => l.Split('`')[1])];
        Assert.Equal(packages.Order(StringComparer.Ordinal), reasons.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> References(string project, string kind) =>
        XDocument.Load(Repository.PathOf(project)).Descendants(kind).Select(e => e.Attribute("Include")!.Value);
}
