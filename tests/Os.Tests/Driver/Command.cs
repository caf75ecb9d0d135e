using System.Diagnostics;
using System.Text;

namespace Os.Tests.Driver;

/// <summary>A process under way, whose output can be waited for line by line. Killed when it is disposed of before its end.</summary>
internal sealed class Command : IDisposable
{
    private readonly object _gate = new();
    private readonly StringBuilder _output = new(), _errors = new();
    private readonly Process _process;
    private readonly string _text;
    private bool _outputEnded;

    private Command(ProcessStartInfo start)
    {
        _text = $"{Path.GetFileName(start.FileName)} {string.Join(' ', start.ArgumentList)}";
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        _process = Process.Start(start)!;
        _process.StandardInput.Close();
        _process.OutputDataReceived += (_, line) => Take(_output, line.Data);
        _process.ErrorDataReceived += (_, line) => Take(_errors, line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Starts a program.</summary>
    /// <param name="program">Its name or path.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">What is added to this process's environment.</param>
    public static Command Start(
        string program, IEnumerable<string> arguments, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        ProcessStartInfo start = new(program, arguments);
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        return new Command(start);
    }

    /// <summary>Runs a tool of the host to its end.</summary>
    public static CommandResult Run(string program, params string[] arguments)
    {
        using Command command = Start(program, arguments);
        return command.WaitForExit(Limits.Command);
    }

    /// <summary>Waits until stdout has a line with this text.</summary>
    /// <exception cref="TimeoutException">It has not come within the limit.</exception>
    /// <exception cref="InvalidOperationException">The process has ended without it.</exception>
    public void WaitForLine(string text, TimeSpan limit)
    {
        Stopwatch clock = Stopwatch.StartNew();
        lock (_gate)
        {
            while (!_output.ToString().Contains(text, StringComparison.Ordinal))
            {
                // Output is whole once the null line that stands for its end has come.
                if (_outputEnded) throw new InvalidOperationException($"{Describe()} ended without saying '{text}'");
                TimeSpan left = limit - clock.Elapsed;
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left))
                    throw new TimeoutException($"{Describe()} has not said '{text}' within {limit.TotalSeconds:0} s");
            }
        }
    }

    /// <summary>Waits for its end.</summary>
    /// <exception cref="TimeoutException">It has not come within the limit.</exception>
    public CommandResult WaitForExit(TimeSpan limit)
    {
        if (!_process.WaitForExit(limit)) throw new TimeoutException($"{Describe()} has not ended within {limit.TotalSeconds:0} s");
        _process.WaitForExit(); // for the ends of its output
        lock (_gate) return new CommandResult(_process.ExitCode, _output.ToString(), _errors.ToString());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

    private void Take(StringBuilder where, string? line)
    {
        lock (_gate)
        {
            if (line is not null) where.Append(line).Append('\n');
            else if (where == _output) _outputEnded = true;
            Monitor.PulseAll(_gate);
        }
    }

    private string Describe()
    {
        lock (_gate) return $"'{_text}' (stdout: '{_output}', stderr: '{_errors}')";
    }
}
