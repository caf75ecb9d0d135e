using Cloning.Instances;

namespace Bgkvm.Control;

/// <summary>An error as <c>application/problem+json</c> (RFC 9457) with two members of our own.</summary>
/// <param name="Title">The HTTP status in words.</param>
/// <param name="Status">The HTTP status.</param>
/// <param name="Detail">One line for people.</param>
/// <param name="Code">One word for programs: badRequest, notFound, methodNotAllowed, busy, refused or failed.</param>
/// <param name="ExitCode">What a command line should exit with.</param>
internal sealed record Problem(string Title, int Status, string Detail, string Code, int ExitCode)
{
    /// <summary>The media type.</summary>
    public const string MediaType = "application/problem+json";

    /// <summary>What went wrong, as a problem.</summary>
    public static Problem From(Exception error) => error switch
    {
        BadRequestException => new("Bad Request", 400, error.Message, "badRequest", Bgkvm.ExitCode.Usage),
        InstanceBusyException => new("Conflict", 409, error.Message, "busy", Bgkvm.ExitCode.Failed),
        InstanceException refusal => new("Unprocessable Content", 422, error.Message, "refused", refusal.ExitCode),
        _ => new("Internal Server Error", 500, error.Message, "failed", Bgkvm.ExitCode.Failed),
    };

    /// <summary>No such place, or no such thing to do there.</summary>
    public static Problem Unroutable(int status, string method, string path) => status == 405
        ? new("Method Not Allowed", 405, $"{path} does not take {method}", "methodNotAllowed", Bgkvm.ExitCode.Failed)
        : new("Not Found", 404, $"there is no {path}", "notFound", Bgkvm.ExitCode.Failed);
}
