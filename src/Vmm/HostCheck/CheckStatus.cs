namespace Vmm.HostCheck;

/// <summary>How one check of the host ended.</summary>
public enum CheckStatus
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>bgkvm works, but something is slower or missing.</summary>
    Warn,

    /// <summary>bgkvm cannot run Linux like this.</summary>
    Fail,
}
