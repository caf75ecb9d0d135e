using System.Diagnostics;

namespace Os.Tests.Driver;

/// <summary><c>bgkvm console</c> in pipes, with somebody who types and reads.</summary>
internal sealed class ConsoleProcess : IDisposable
{
    private readonly Process _process;

    /// <summary>Attaches.</summary>
    /// <param name="executable">bgkvm.</param>
    /// <param name="home">BGKVM_HOME.</param>
    public ConsoleProcess(string executable, string home)
    {
        ProcessStartInfo start = new(executable, ["console", Instance.Name])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["BGKVM_HOME"] = home;
        _process = Process.Start(start)!;
        Guest = new Guest(_process.StandardInput.BaseStream, _process.StandardOutput.BaseStream);
    }

    /// <summary>The guest behind it.</summary>
    public Guest Guest { get; }

    /// <summary>Ends the process's input.</summary>
    public void EndInput() => _process.StandardInput.Close();

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit status.</returns>
    public int WaitForExit()
    {
        if (!_process.WaitForExit(Limits.Command)) throw new TimeoutException("bgkvm console does not end");
        return _process.ExitCode;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        Guest.Dispose();
        _process.Dispose();
    }
}
