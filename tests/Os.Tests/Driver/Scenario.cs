using Xunit;

namespace Os.Tests.Driver;

/// <summary>A test with an instance of its own. When it fails, the ends of the instance's logs go with the report.</summary>
public abstract class Scenario : IDisposable
{
    private protected Instance Vm { get; } = new();

    /// <summary>Says something that goes into the report.</summary>
    private protected static void Say(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed) Say(Vm.Tails());
        Vm.Dispose();
        GC.SuppressFinalize(this);
    }
}
