using System.Text.Json;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>What bgkvm says of a host on which all the other tests run.</summary>
public sealed class DoctorTests : Scenario
{
    [Fact]
    public void Doctor_finds_that_Linux_can_run_where_it_does()
    {
        CommandResult result = Vm.Run("doctor", "--json");
        Assert.True(result.ExitCode == 0, result.Output + result.Errors);
        JsonElement report = JsonDocument.Parse(result.Output).RootElement;
        Assert.True(report.GetProperty("verdict").GetProperty("linuxCanRun").GetBoolean());
        Assert.All(
            report.GetProperty("checks").EnumerateArray(), check => Assert.NotEqual("failed", check.GetProperty("status").GetString()));
        CommandResult text = Vm.Run("doctor");
        Say(text.Output);
        Assert.Equal(0, text.ExitCode);
    }
}
