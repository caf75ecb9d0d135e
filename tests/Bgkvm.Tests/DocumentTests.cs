using System.CommandLine;
using Bgkvm.Control;
using Bgkvm.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bgkvm.Tests;

/// <summary>The documents say what the program does, and nothing that it does not.</summary>
public sealed class DocumentTests
{
    [Fact]
    public void The_manual_knows_every_command_and_option_and_no_other()
    {
        string manual = File.ReadAllText(Document("man/bgkvm.1")).Replace("\\-", "-", StringComparison.Ordinal);
        string[] sections = manual.Split("\n.SS ")[1..];
        Command[] commands = [.. Cli.CreateRoot(FakeInstance.Start).Subcommands.Where(command => !command.Hidden)];
        Assert.Equal(commands.Select(command => command.Name), sections.Select(section => section.Split('\n')[0]));
        foreach ((Command command, string section) in commands.Zip(sections))
        {
            string text = section.Split("\n.SH ")[0];
            string[] options = [.. command.Subcommands.Append(command).SelectMany(one => one.Options).Where(option => !option.Hidden && option.Name != "--help").Select(option => option.Name)];
            Assert.All(command.Subcommands, one => Assert.Contains($"\\fBbgkvm {command.Name} {one.Name}\\fR", manual, StringComparison.Ordinal));
            Assert.All(options, option => Assert.Contains($"\\fB{option}", text, StringComparison.Ordinal));
            string[] told = [.. text.Split("\\fB--")[1..].Select(rest => "--" + rest[..rest.IndexOfAny([' ', '\\'])])];
            Assert.All(told, option => Assert.Contains(option, options));
        }
    }

    [Fact]
    public async Task The_control_api_is_described_route_by_route()
    {
        string text = await File.ReadAllTextAsync(Document("control-api.md"), TestContext.Current.CancellationToken);
        using TempDirectory temp = new();
        await using ControlServer server = await ControlServer.StartAsync(
            Path.Combine(temp.Path, "s"), new FakeInstance(FakeInstance.Config()), NullLoggerFactory.Instance);
        Assert.All(server.Routes, route => Assert.Contains($"| `{route}` |", text, StringComparison.Ordinal));
        Assert.Equal(server.Routes.Count(), text.Split("\n| `").Length - 1);
    }

    private static string Document(string name)
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "BgReboot.sln"))) root = Path.GetDirectoryName(root)!;
        return Path.Combine(root, "docs", name);
    }
}
